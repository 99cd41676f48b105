"""The contract of components: what core asks of a source, a pipe, a sink and a codec.

The rules behind each method are numbered in `docs/spec/component.md`. No inheritance is needed:
a class with these methods is a component. The one-record forms in
`queueconnector_core.simple` are easier to write and come with these methods built in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from queueconnector_core.component import Claim
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.record import Batch, Value

__all__ = (
    "Source",
    "DrainableSource",
    "ProvenSource",
    "LaggingSource",
    "Pipe",
    "HoldingPipe",
    "Sink",
    "ImpairableSink",
    "Codec",
    "Encoder",
    "Decoder",
    "ResourceHost",
)


@runtime_checkable
class Source(Protocol):
    """Where records come from."""

    async def start(self) -> None:
        """Connect. When it returns, whatever the far end sends from now on will be read.

        May be cancelled at any await. Raises `RetryableError` while the far end is away,
        `FatalError` when trying again is pointless.
        """

    def read(self) -> AsyncIterator[Batch]:
        """The stream of batches, in the order of the far end; ends after `stop`, or by itself.

        After `stop` it gives what was received before and then ends. Raises `RetryableError` when
        the connection is lost (the runner stops, starts and reads again), `FatalError` to give up.
        """

    async def stop(self) -> None:
        """Disconnect and make `read` end. Idempotent, safe before `start`, leaves no task."""


@runtime_checkable
class DrainableSource(Source, Protocol):
    """A source that is told when its records were delivered, and commits that to its far end."""

    async def drain(self) -> None:
        """Receive nothing more: `read` gives what it has, or nothing, and ends.

        The connection stays until `stop`, so that what is still in flight can be acknowledged.
        Without this method `stop` is called at that point.
        """


@runtime_checkable
class ProvenSource(Source, Protocol):
    """A source that can tell a far end that is idle from one that is dead."""

    def silent_s(self) -> float:
        """Seconds since the far end last proved that it is there; 0 when nothing is expected."""


@runtime_checkable
class LaggingSource(Source, Protocol):
    """A source that knows how much waits for it at its far end."""

    def lag(self) -> int | None:
        """Records that are there and not read yet, as far as it has heard; None: not known.

        Asks nobody and takes no time: it is called once a second, and by whoever looks.
        """


@runtime_checkable
class Pipe(Protocol):
    """What happens to records between source and sink."""

    def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Turn a stream of batches into another one; flush what is held when the input ends.

        Acknowledgements of records that are held back are held back with them
        (`Batch.split`, `Batch.joined`). Records that cannot be processed become failures of the
        batch. Raises `FatalError` to give up.
        """


@runtime_checkable
class HoldingPipe(Pipe, Protocol):
    """A pipe that holds records back for a time."""

    longest_hold_s: float
    """For how long at most, in seconds."""


@runtime_checkable
class Sink(Protocol):
    """Where records go."""

    async def start(self) -> None:
        """Connect. When it returns, `write` may be called. Raises as `Source.start`."""

    async def write(self, batch: Batch) -> None:
        """Deliver all values of the batch in order; return when the far end accepted them.

        Raises `RecordErrors` for the values that were refused while all others were accepted,
        `RetryableError` when the batch must be written again, `FatalError` to give up.
        """

    async def stop(self) -> None:
        """Flush and disconnect. Idempotent, safe before `start`; a later `write` only warns."""


@runtime_checkable
class ImpairableSink(Sink, Protocol):
    """A sink that can be written although a part of it does not work."""

    def impaired(self) -> str | None:
        """What does not work, for people; None: all is well."""


Encoder: TypeAlias = Callable[[Any], bytes]
"""Turns a value into octets; raises `RecordError`."""
Decoder: TypeAlias = Callable[[bytes], Value]
"""Turns octets into a value; raises `RecordError` for anything that is not such a value."""


@runtime_checkable
class Codec(Protocol):
    """How values stand on the wire; its registered name is the `encoding` of a configuration."""

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` (empty path) when values of `spec` cannot be carried."""

    def encoder(self, spec: DataSpec) -> Encoder:
        """A function that encodes values of `spec`."""

    def decoder(self, spec: DataSpec) -> Decoder:
        """A function that decodes into values of `spec`, converted and checked."""


@runtime_checkable
class ResourceHost(Protocol):
    """A service of a host that keeps what configurations claim, such as Tango attributes."""

    claim_type: type[Claim]
    """The claims it keeps; it is given those of this class only."""

    def check(self, claims: Sequence[Claim]) -> None:
        """Raise `ConfigError` at the `path` of each claim that cannot be had; change nothing."""

    async def reconcile(self, owner: str, claims: Sequence[Claim]) -> None:
        """Make exactly the claimed resources of `owner` exist.

        Those of other owners, and those that did not change, are not touched. An owner is one
        document of configuration; no two claim the same name.
        """
