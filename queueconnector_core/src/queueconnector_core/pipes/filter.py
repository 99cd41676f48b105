"""The pipe that keeps some records and leaves out others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import compress
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.condition import When, condition, holding
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Batch

__all__ = ("FilterPipeDescriptor", "FilterPipe", "kept")


@attrs.frozen
class FilterPipeDescriptor(PipeDescriptor):
    """Passes on the records for which a condition holds, and leaves out the others.

    What is left out counts as filtered, and is acknowledged with its batch. An invalid value holds
    no condition. A record of which it cannot be said is refused.
    """

    when: Annotated[
        When,
        Meta(
            description="The condition: a JMESPath that finds anything but false, null and what "
            "is empty, such as status == 'ok' or value > `3`; or an object of limits for "
            'numbers, such as {"ge": 0, "lt": 360}.'
        ),
    ]

    def output(self, spec: DataSpec) -> DataSpec:
        """The same; raises `ConfigError` for a condition that values of `spec` cannot hold."""
        try:
            condition(self.when, spec)
        except ConfigError as error:
            raise error.under("when") from None
        return spec


class FilterPipe:
    """Judges all values of a batch at once where they are numbers."""

    def __init__(self, descriptor: FilterPipeDescriptor, context: BuildContext) -> None:
        self._judge = condition(descriptor.when, context.spec)

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with what is left of them; one of which nothing is left travels on empty."""
        async for batch in batches:
            yield kept(batch, *holding(batch, self._judge)) if batch.values else batch


def kept(batch: Batch, flags: Sequence[bool], failed: Mapping[int, RecordError]) -> Batch:
    """The values whose flag is True; those that failed become failures, all others filtered."""
    if failed:
        batch = batch.without(failed)
        flags = [flag for place, flag in enumerate(flags) if place not in failed]
    return batch.keeping(list(compress(range(len(batch)), flags)))
