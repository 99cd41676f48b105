"""The sinks inside a sink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from queueconnector_core._offers import offers
from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.protocols import ImpairableSink, Sink

__all__ = ("built", "impairments", "stop_all")


def built(descriptor: SinkDescriptor, context: BuildContext) -> Sink:
    """The sink of a descriptor, for the same values."""
    component = context.registry.of_descriptor(type(descriptor), ComponentKind.SINK)
    return cast("Sink", component.factory(descriptor, context))


def impairments(sinks: Iterable[Sink]) -> list[str]:
    """What does not work of sinks that can be written all the same."""
    told = (sink.impaired() for sink in sinks if offers(sink, ImpairableSink))
    return [text for text in told if text is not None]


async def stop_all(sinks: Iterable[Sink]) -> None:
    """Stop every sink, also when another one fails; raises the first failure."""
    errors: list[Exception] = []
    for sink in sinks:
        try:
            await sink.stop()
        except Exception as error:  # noqa: BLE001 - raised when all have had their turn
            errors.append(error)
    if errors:
        raise errors[0]
