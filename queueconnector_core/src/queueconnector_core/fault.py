"""Why a group stands in FAULT, for people and for programs."""

from __future__ import annotations

import time

import attrs

from queueconnector_core.errors import QueueConnectorError

__all__ = ("Fault",)


@attrs.frozen
class Fault:
    """What went wrong in a group, or with the document that configures it."""

    type: str
    """The class of the error, such as `FatalError`."""
    message: str
    group: str
    exchange: int | None = None
    """The place of the exchange in its group; None: the error is not of one exchange."""
    time_s: float = attrs.field(factory=time.time)
    """Seconds since the Unix epoch, UTC."""
    version: str = ""
    """The version of the document that it is about, where its source tells versions."""

    @classmethod
    def of(cls, error: BaseException, group: str, exchange: int | None = None) -> Fault:
        """The fault that an error makes; one that nobody meant to raise is named by its class."""
        expected = isinstance(error, QueueConnectorError)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        return cls(type(error).__name__, message, group, exchange)

    def __str__(self) -> str:
        return self.message
