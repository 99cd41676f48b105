"""Reads what users name on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

from queueconnector_core.errors import ConfigError

__all__ = ("NAME_OF_STDIN", "read_text")

NAME_OF_STDIN = "<standard input>"


def read_text(config: str) -> str:
    """The text of a file, or of standard input for `-`; raises `ConfigError` with the reason."""
    try:
        if config == "-":
            return sys.stdin.buffer.read().decode()
        return Path(config).read_text("utf-8")
    except UnicodeDecodeError as error:
        reason = f"it is no text in UTF-8 (octet {error.start})"
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:  # a path with a null character
        reason = str(error)
    raise ConfigError.at("", f"cannot read {config}: {reason}")
