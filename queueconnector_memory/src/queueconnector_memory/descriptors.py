"""What a user writes for the in-memory ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import attrs
from msgspec import Meta

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, Problem, RecordError
from queueconnector_core.record import Value
from queueconnector_core.registry import Registry

__all__ = ("InMemorySourceDescriptor", "InMemorySinkDescriptor", "value_reader")


MAX_PROBLEMS: Final = 20
"""So many wrong values are told at once; of the wrong dtype all are."""


@attrs.frozen
class InMemorySourceDescriptor(SourceDescriptor):
    """Gives the values of a list, then ends."""

    data: Annotated[
        list[Any],
        Meta(
            description="The values, in the exchange's dtype; smaller arrays and single numbers "
            'are broadcast to its shape; bytes are written ["encoding", "base64 text"].',
            examples=[[1.5, 2.5]],
        ),
    ]
    delay: Annotated[
        float,
        Meta(
            description="Wait before each value, in seconds.",
            ge=0,
            extra_json_schema={"unit": "s"},
        ),
    ] = 0

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Read every value; raises `ConfigError` at the first ones that are not of `spec`."""
        read = value_reader(spec)
        problems: list[Problem] = []
        for index, value in enumerate(self.data):
            try:
                read(value)
            except RecordError as error:
                problems.append(Problem(f"data[{index}]", str(error)))
                if len(problems) == MAX_PROBLEMS:
                    break
        if problems:
            raise ConfigError(problems)


@attrs.frozen
class InMemorySinkDescriptor(SinkDescriptor):
    """Keeps every record under a key, for whoever runs in the same process."""

    key: Annotated[str, Meta(description="The name under which the records are found.")]
    max_records: Annotated[
        int, Meta(description="Records beyond so many are refused, and counted as dropped.", ge=1)
    ] = 1_000_000


def value_reader(spec: DataSpec) -> Callable[[object], Value]:
    """A function that turns what stands in a configuration into a value of `spec`.

    It raises `RecordError`. Numbers and smaller arrays are broadcast to the shape of `spec`.
    """
    return converter(spec, broadcast=not spec.is_dynamic)
