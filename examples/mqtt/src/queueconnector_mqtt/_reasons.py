"""What MQTT's reason codes ask of this client: try again, or give up."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

from queueconnector_core.errors import FatalError, QueueConnectorError, RetryableError

__all__ = ("is_temporary", "obstacle", "refused_login", "ended_by_broker")

_TEMPORARY: Final = frozenset({0x80, 0x83, 0x88, 0x89, 0x93, 0x96, 0x97, 0x9F})
"""Unspecified or specific to the implementation, unavailable, busy, too much at a time, over a
quota, too many connections."""

_TAKEN_OVER: Final = 0x8E
_FOREVER: Final = frozenset({0x81, 0x82, 0x87, 0x8A, 0x8C, 0x90, 0x94, 0x95, 0x99, 0x9A, 0x9B})
"""Malformed, against the protocol, not authorized, banned, and so on: it would happen again."""


def is_temporary(code: int) -> bool:
    """Whether the same may be accepted later."""
    return code in _TEMPORARY


def obstacle(authority: str, error: OSError | TimeoutError) -> QueueConnectorError:
    """Why no connection to the broker came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return FatalError(f"{authority}: its certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return FatalError(f"{authority} does not speak TLS; another port, or no tls")
        return FatalError(f"{authority}: TLS failed: {error.reason or error}")
    if isinstance(error, TimeoutError):
        return RetryableError(f"no MQTT broker answers at {authority}: it takes too long")
    known = error.errno is not None and error.errno > 0 and not isinstance(error, socket.gaierror)
    told = os.strerror(error.errno or 0) if known else error.strerror or str(error)
    return RetryableError(f"no MQTT broker answers at {authority}: {told}")


def refused_login(authority: str, code: int, text: str) -> QueueConnectorError:
    """Why the broker does not let this client in."""
    told = f"{authority} refuses this client: {text}"
    return RetryableError(told) if is_temporary(code) else FatalError(told)


def ended_by_broker(authority: str, code: int, text: str, client_id: str) -> QueueConnectorError:
    """Why the broker ended the connection."""
    if code == _TAKEN_OVER:
        return FatalError(f"{authority}: another client came with the client_id {client_id!r}")
    told = f"{authority} ended the connection: {text}"
    return FatalError(told) if code in _FOREVER else RetryableError(told)
