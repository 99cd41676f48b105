"""The console script SDPQueueConnector: a Tango device server."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Final

from queueconnector_tango.event_buffers import enlarge_event_buffers

__all__ = ("main",)

LOG_FORMAT: Final = (
    "1|%(asctime)s.%(msecs)03dZ|%(levelname)s|%(threadName)s|%(funcName)s"
    "|%(filename)s#%(lineno)d|%(tags)s|%(message)s"
)
"""The log format of the SKA: version, time (UTC), level, thread, function, place, tags, text."""

_TRUE: Final = {"on", "1", "true", "yes", "y"}
"""What PyTango takes for true."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal or the admin device ends it; `arguments` are those of any Tango server.

    For example `01` with a database, or without one
    `01 -nodb -dlist mid-sdp/queueconnector/01 -ORBendPoint giop:tcp:127.0.0.1:45678`.
    `-v1` and `-v2` log information (as without), `-v3` and more what is needed to find an error,
    `-v5` what the Tango library does, too.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    faulthandler.enable()
    configure_logging(log_level(given))
    enlarge_event_buffers()
    leave_out_unused_telemetry()
    # Only now: Tango reads the variables when it is loaded.
    from queueconnector_tango.device import SDPQueueConnector

    # What is loaded stays. To look through it again in each full collection of garbage would hold
    # up everything for some 50 ms.
    gc.freeze()
    SDPQueueConnector.run_server(without_verbosity(given))


def leave_out_unused_telemetry() -> None:
    """Keep PyTango from wrapping each method of the device for traces that nobody wants.

    It does so wherever OpenTelemetry is installed, and reads the variable when it is loaded.
    """
    if os.environ.get("TANGO_TELEMETRY_ENABLE", "").casefold() not in _TRUE:
        os.environ.setdefault("PYTANGO_DISABLE_TELEMETRY_PATCHING", "on")


def log_level(arguments: Sequence[str]) -> int:
    """The level of Python's logging that goes with Tango's option `-v`."""
    for argument in arguments:
        if found := re.fullmatch(r"-v(\d*)", argument):
            return logging.DEBUG if int(found[1] or 4) >= 3 else logging.INFO
    return logging.INFO


def without_verbosity(arguments: Sequence[str]) -> list[str]:
    """The arguments for Tango: with `-v`, but for `-v5`, it would print each message once more."""
    return [argument for argument in arguments if not re.fullmatch(r"-v[0-4]?", argument)]


def configure_logging(level: int) -> None:
    """Log to standard error in the format of the SKA."""
    formatter = logging.Formatter(LOG_FORMAT, "%Y-%m-%dT%H:%M:%S", defaults={"tags": ""})
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)


if __name__ == "__main__":
    main()
