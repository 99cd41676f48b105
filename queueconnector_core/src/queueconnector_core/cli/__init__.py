"""The command line `queueconnector`; it needs the extra `cli`."""

from __future__ import annotations

import io
import os
import sys

__all__ = ("main",)

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""As if SIGPIPE had ended it: nobody reads what it prints any more."""


def main() -> None:
    """Run the command line; exits with its code."""
    try:
        from queueconnector_core.cli.app import make_app
    except ModuleNotFoundError as error:
        if error.name not in {"cyclopts", "rich"}:
            raise
        sys.exit("queueconnector: the command line needs: pip install 'queueconnector-core[cli]'")
    for stream in (sys.stdout, sys.stderr):
        # A configuration may hold what the terminal, or UTF-8, has no letter for.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = make_app(sys.argv[1:])()
        sys.stdout.flush()
    except KeyboardInterrupt:
        # Ctrl-C before anything runs; `run` itself ends in order.
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_BROKEN_PIPE
    sys.exit(code)
