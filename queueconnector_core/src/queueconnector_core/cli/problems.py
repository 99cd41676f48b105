"""How commands end that cannot do what they were asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable

from queueconnector_core.errors import ConfigError, QueueConnectorError

__all__ = ("EXIT_FAULT", "EXIT_CONFIG", "refuse", "told")

EXIT_FAULT = 1
EXIT_CONFIG = 2


def refuse(reason: object, code: int = EXIT_CONFIG) -> int:
    """Say why on standard error; returns the exit code."""
    print(f"queueconnector: {reason}", file=sys.stderr)
    return code


def told(command: Callable[[], int]) -> int:
    """Carry out a command; an error of the framework becomes its text and an exit code."""
    try:
        return command()
    except ConfigError as error:
        return refuse(error)
    except QueueConnectorError as error:
        return refuse(error, EXIT_FAULT)
