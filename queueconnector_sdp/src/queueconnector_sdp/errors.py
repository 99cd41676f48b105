"""What etcd says that this package handles by itself; all else is core's errors."""

from __future__ import annotations

from typing import Any, Final

from queueconnector_core.errors import FatalError, QueueConnectorError, RetryableError

__all__ = (
    "CompactedError",
    "DeniedError",
    "LeaseLostError",
    "NoLoginError",
    "TokenLostError",
    "WellError",
    "error_of",
    "error_of_answer",
)

_UNKNOWN, _TIMED_OUT, _DENIED = 2, 4, 7
_EXHAUSTED, _OUT_OF_RANGE, _UNAVAILABLE, _UNAUTHENTICATED = 8, 11, 14, 16
_PASSING: Final = {_UNKNOWN, _TIMED_OUT, _EXHAUSTED, _UNAVAILABLE}
"""The codes of gRPC for what may work later."""

_TOKEN_TEXTS: Final = (
    "invalid auth token",
    "user name is empty",
    "revision of auth store is old",
    "auth: token",
)


class WellError(RetryableError):
    """The server is well; it is the request that has to be another one."""


class TokenLostError(WellError):
    """The server does not know the token of our login, or has none; it did not do what we asked."""


class CompactedError(WellError):
    """The revisions that were asked for are no longer kept."""


class LeaseLostError(WellError):
    """Our lease has expired."""


class DeniedError(FatalError):
    """The role of this user does not allow it."""


class NoLoginError(FatalError):
    """The server has no users at all, so that nobody can log in."""


def error_of(place: str, code: int, message: str) -> QueueConnectorError:
    """The error for a code of gRPC and etcd's own words."""
    text = message.removeprefix("etcdserver: ")
    told = f"{place}: {text}"
    if any(known in text for known in _TOKEN_TEXTS) or code == _UNAUTHENTICATED:
        return TokenLostError(told)
    if code == _DENIED or "permission denied" in text.lower():
        return DeniedError(told)
    if "authentication is not enabled" in text:
        return NoLoginError(told)
    if "lease not found" in text:
        return LeaseLostError(told)
    if code == _OUT_OF_RANGE or "has been compacted" in text:
        return CompactedError(told)
    return RetryableError(told) if code in _PASSING else FatalError(told)


def error_of_answer(place: str, status: int, answer: Any) -> QueueConnectorError:
    """The error for an HTTP answer that is none of success."""
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        answer = answer["error"]  # as it stands in a stream
    if isinstance(answer, dict) and ("message" in answer or "error" in answer):
        code = int(answer.get("code") or answer.get("grpc_code") or _UNKNOWN)
        return error_of(place, code, str(answer.get("message") or answer.get("error")))
    if status == 404:
        return FatalError(
            f"{place}: HTTP 404, there is no JSON gateway of etcd's version 3: "
            "start etcd with --enable-grpc-gateway=true, or correct the address"
        )
    return RetryableError(f"{place}: HTTP {status}, not an answer of etcd")
