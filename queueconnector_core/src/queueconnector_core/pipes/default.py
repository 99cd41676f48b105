"""The pipe that changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.record import Batch

__all__ = ("DefaultPipeDescriptor", "DefaultPipe")


@attrs.frozen
class DefaultPipeDescriptor(PipeDescriptor):
    """Passes every record on unchanged."""


class DefaultPipe:
    """Passes every batch on as it is."""

    def __init__(self, descriptor: DefaultPipeDescriptor, context: BuildContext) -> None:
        pass

    def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The same batches."""
        return batches
