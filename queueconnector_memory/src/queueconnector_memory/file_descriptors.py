"""What a user writes for files of records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Final

import attrs
from msgspec import Meta

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.component import Claim
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor, SourceDescriptor
from queueconnector_core.protocols import Codec
from queueconnector_core.registry import Registry

__all__ = ("FileClaim", "FileSinkDescriptor", "FileSourceDescriptor")

DEFAULT_ENCODING: Final = "json"
"""It carries every dtype but bytes, which need none, and people read it."""

Encoding = Annotated[
    str | None,
    Meta(
        description="How values stand in the lines: the name of a codec, such as json, python or "
        f"npy; left out: {DEFAULT_ENCODING}. For dtype bytes any label, or none: the octets pass "
        "as they are. A sink refuses values with another label; a source gives the label to "
        "values whose line has none."
    ),
]


def _codec(encoding: str | None, spec: DataSpec, registry: Registry) -> Codec:
    assumed = None if spec.is_bytes else DEFAULT_ENCODING
    return resolve_codec(encoding or assumed, spec, registry)


@attrs.frozen
class FileClaim(Claim):
    """A file that is written; the name is its absolute path."""

    @property
    def resource(self) -> str:
        """What is claimed, for messages."""
        return "file"


@attrs.frozen
class FileSinkDescriptor(SinkDescriptor):
    """Appends each record to a file, as one line of JSON, and waits until the disk has it."""

    path: Annotated[
        str,
        Meta(
            description="The file; made where there is none, in a folder that exists. What is in "
            "it stays.",
            min_length=1,
            examples=["kept.jsonl"],
        ),
    ]
    encoding: Encoding = None
    max_bytes: Annotated[
        int,
        Meta(description="Records that would make the file larger are refused, in octets.", ge=1),
    ] = 2**30

    def codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the values; raises `ConfigError` when it cannot carry `spec`."""
        return _codec(self.encoding, spec, registry)

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when the encoding cannot carry values of `spec`."""
        self.codec(spec, registry)

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        """The file: two writers would cut off each other's lines."""
        return [FileClaim(os.path.abspath(self.path), path="path")]  # noqa: PTH100 - resolves ..

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the values; raises `ConfigError` when it cannot carry `spec`."""
        return self.codec(spec, registry)

    def for_dead_letters(self) -> FileSinkDescriptor:
        """The same without an encoding: letters have labels of their own."""
        return attrs.evolve(self, encoding=None)


@attrs.frozen
class FileSourceDescriptor(SourceDescriptor):
    """Gives the records of a file that a FileSink, or a person, has written."""

    path: Annotated[
        str,
        Meta(
            description="The file; waited for where there is none.",
            min_length=1,
            examples=["records.jsonl"],
        ),
    ]
    encoding: Encoding = None
    follow: Annotated[
        bool,
        Meta(description="True: wait for more at the end of the file. False: end there."),
    ] = False
    checkpoint: Annotated[
        str | None,
        Meta(
            description="A file, of this source alone, that keeps how far everything was "
            "delivered: the next start goes on from there. null: each start reads from the "
            "beginning.",
            min_length=1,
        ),
    ] = None

    def codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the values; raises `ConfigError` when it cannot carry `spec`."""
        return _codec(self.encoding, spec, registry)

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when the encoding cannot carry values of `spec`."""
        self.codec(spec, registry)

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the values; raises `ConfigError` when it cannot carry `spec`."""
        return self.codec(spec, registry)
