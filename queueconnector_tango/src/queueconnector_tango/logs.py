"""Python's logging and Tango's agree: one level, and one stream of messages.

Messages are written to standard error by Python's logging (`server`). They are handed to the
device's Tango logger, too, so that whoever adds a target there (a file, a log consumer) gets them;
and a level that is set through the admin device (`SetLoggingLevel`) is taken over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ("DeviceLog", "TANGO_LEVELS")

TANGO_LEVELS: Final = {
    logging.CRITICAL: 200,
    logging.ERROR: 300,
    logging.WARNING: 400,
    logging.INFO: 500,
    logging.DEBUG: 600,
}
"""Python's levels with those of Tango's logging library (log4tango: OFF is 100)."""

OFF: Final = logging.CRITICAL + 1


class TangoLogger(Protocol):
    """What is used of `tango.Logger`."""

    def get_level(self) -> int: ...
    def set_level(self, level: int) -> None: ...
    def fatal(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def info(self, text: str) -> None: ...
    def debug(self, text: str) -> None: ...


class DeviceLog(logging.Handler):
    """Hands every message over to a Tango logger until it is closed, and follows its level.

    Not with `hand_over=False`, for a Tango logger that prints what it is given.
    """

    def __init__(self, tango_logger: TangoLogger, *, hand_over: bool = True) -> None:
        super().__init__()
        self._tango_logger = tango_logger
        self._methods: dict[int, Callable[[str], None]] = {
            logging.CRITICAL: tango_logger.fatal,
            logging.ERROR: tango_logger.error,
            logging.WARNING: tango_logger.warn,
            logging.INFO: tango_logger.info,
            logging.DEBUG: tango_logger.debug,
        }
        root = logging.getLogger()
        self._level = TANGO_LEVELS.get(root.level, TANGO_LEVELS[logging.INFO])
        tango_logger.set_level(self._level)
        if hand_over:
            root.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one message on."""
        level = max((level for level in self._methods if level <= record.levelno), default=0)
        method = self._methods.get(level, self._tango_logger.debug)
        try:
            # Tango sends Latin-1.
            method(self.format(record).encode("utf-8").decode("latin-1"))
        except Exception:  # noqa: BLE001 - as every handler of Python does
            self.handleError(record)

    def follow_level(self) -> None:
        """Take over a level that was set in Tango since the last look."""
        level = self._tango_logger.get_level()
        if level != self._level:
            self._level = level
            python = (known for known, tango in TANGO_LEVELS.items() if tango <= level)
            logging.getLogger().setLevel(min(python, default=OFF))

    def close(self) -> None:
        """Stop to pass messages on."""
        logging.getLogger().removeHandler(self)
        super().close()
