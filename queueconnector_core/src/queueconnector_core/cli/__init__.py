"""The command line `queueconnector`; it needs the extra `cli`."""

from __future__ import annotations

import sys

__all__ = ("main",)

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exits with its code."""
    try:
        from queueconnector_core.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in {"cyclopts", "rich"}:
            raise
        sys.exit("queueconnector: the command line needs: pip install 'queueconnector-core[cli]'")
    try:
        code = app()
    except KeyboardInterrupt:
        # Ctrl-C before anything runs; `run` itself ends in order.
        code = EXIT_INTERRUPTED
    sys.exit(code)
