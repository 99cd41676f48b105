"""What fuzzing starts from: valid messages of every encoding, and valid configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import attrs

from queueconnector_core.cli.explaining import example_of_type
from queueconnector_core.codecs import CODECS, resolve_codec
from queueconnector_core.component import ComponentKind
from queueconnector_core.conversion import converter, zero
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.registry import Registry
from tests.core.hostile import HOSTILE, ROW, ROWS

__all__ = (
    "CODEC_REGISTRY",
    "CONFIGURATIONS",
    "DECODERS",
    "EXAMPLES",
    "HOSTILE_CONFIGURATIONS",
    "Case",
)


CODEC_REGISTRY: Final = Registry().with_(queueconnector_components())
SCALARS: Final[list[tuple[Any, Any]]] = [
    ("bool", True),
    ("int16", -300),
    ("uint64", 2**64 - 1),
    ("float32", float("inf")),
    ("float64", float("nan")),
    (">f8", 1e-300),
    ("complex64", 1 - 2j),
    ("datetime64[ms]", "2030-01-31T12:00:00.500"),
    ("datetime64[ns]", "NaT"),
    ("U4", "grün"),
    ("str", "Grüße, \U0001f600"),
    (ROW, ("SKA1", "2030-01-31T12:00:00.5", [1.0, -0.0], 1j)),
    (ROWS, (True, (-3, "ä"))),
]
CONTAINER: Final = {"name": "SKA", "list": [1, -2.5, None, True, {"deep": ["ü", 2**63]}]}


@attrs.frozen
class Case:
    """One decoder, with messages that it reads and messages that were made to hurt it."""

    encoding: str
    spec: DataSpec
    valid: tuple[bytes, ...]
    hostile: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{self.encoding} {self.spec}"


def _cases() -> list[Case]:
    samples: list[tuple[DataSpec, Any]] = [
        (DataSpec.of(dtype, shape), value)
        for dtype, value in SCALARS
        for shape in ([], [2], [-1, 2])
    ]
    samples.append((DataSpec.of("object"), CONTAINER))
    cases = []
    for encoding, _ in CODECS:
        for spec, value in samples:
            try:
                encode = resolve_codec(encoding, spec, CODEC_REGISTRY).encoder(spec)
            except ConfigError:
                continue
            values = [zero(spec)]
            if encoding != "ascii" or not spec.is_text:
                values.append(converter(spec, broadcast=True)(value))
            hostile = (wire for of, *_, wire in HOSTILE if of == encoding)
            cases.append(Case(encoding, spec, tuple(map(encode, values)), tuple(hostile)))
    return cases


DECODERS: Final = _cases()
"""Every encoding with every spec that it carries, each in a stable place."""

_KAFKA_IN: Final = {"type": "KafkaConsumerSource", "servers": "localhost", "topic": "in"}
_KAFKA_OUT: Final = {"type": "KafkaProducerSink", "servers": ["h:1", "[::1]:2"], "topic": "out"}
_TANGO_IN: Final = {
    "type": "TangoSubscriptionSource",
    "device_name": "tango://host:10000/a/b/c#dbase=no",
    "attribute_name": "x",
    "etype": "archive",
    "stateless": False,
}
_LOCAL: Final = {"type": "TangoLocalAttributeSink", "attribute_name": "y", "default_value": 0}
_MEMORY: Final = {"type": "InMemorySink", "key": "k", "max_records": 10}


def _exchange(source: object, sink: object, **options: object) -> dict[str, Any]:
    return {"exchanges": [{"source": source, "sink": sink} | options]}


CONFIGURATIONS: Final[list[bytes]] = [
    json.dumps(document).encode()
    for document in (
        {"exchanges": None},
        _exchange(_KAFKA_IN | {"encoding": "utf-8", "fetch_max_wait_ms": 5}, [_LOCAL]),
        _exchange([_KAFKA_IN, _TANGO_IN], _KAFKA_OUT | {"encoding": "npy"}, dtype="float32"),
        _exchange(_TANGO_IN, _KAFKA_OUT | {"timestamp_options": None}, dtype="bytes"),
        _exchange(
            _KAFKA_IN | {"encoding": "json"},
            _KAFKA_OUT
            | {"timestamp_options": {"key": "t", "slices": [0, [None, -1, 2]], "reducer": "mean"}},
            dtype=[["t", "datetime64[ns]", [3]], ["x", "uint8"]],
            shape=[2],
        ),
        _exchange(
            {"type": "LineFileSource", "path": "in.txt", "follow": True},
            [
                {"type": "LineFileSink", "path": "out.txt"},
                {
                    "type": "TangoRemoteAttributeSink",
                    "device_name": "a/b/c",
                    "attribute_name": "x",
                    "string_encoding": "latin-1",
                },
            ],
        ),
        _exchange(
            {"type": "FileSource", "path": "in.jsonl", "checkpoint": "in.done"},
            {"type": "FileSink", "path": "out.jsonl", "max_bytes": 100},
            dtype="float64",
            errors={
                "action": "dead_letter",
                "retries": 2,
                "dead_letters": {"type": "FileSink", "path": "letters.jsonl"},
            },
            gaps={"type": "InMemorySink", "key": "gaps"},
            health_limit_s=2.5,
        ),
        _exchange(_TANGO_IN, [_MEMORY, _LOCAL], dtype="DevDouble", shape=[2, 3]),
        {"exchanges": {"a": [], "b": _exchange(_TANGO_IN, _MEMORY, dtype="int")["exchanges"]}},
        _exchange(
            {"type": "InMemorySource", "data": [1, 2.5, "3", [1, 2]], "delay": 0.5},
            _KAFKA_OUT | {"encoding": "carray", "message_max_bytes": 100},
            dtype="float64",
            shape=[2],
            pipe={"type": "DefaultPipe"},
        ),
        _exchange(
            {"type": "InMemorySource", "data": [["label", "AAAA"]]}, _MEMORY, dtype="DevEncoded"
        ),
        _exchange(
            _KAFKA_IN | {"encoding": "json"},
            _MEMORY,
            dtype=[["name", "U8"], ["at", "datetime64[ns]"], ["pos", "float64", [3]]],
            shape=[],
            pipe=[{"type": "BufferWithTimePipe", "timespan": 1.5, "max_records": 7}],
        ),
        _exchange(
            {
                "type": "TangoPointingSubscriptionSource",
                "device_name": "ska001/leafnode/pointing",
                "attribute_name": "achieved",
                "antenna_name": None,
            },
            _MEMORY,
            dtype=[["antenna_name", "U8"], ["ts", "datetime64[ns]"], ["az", "float64"]],
        ),
        _exchange(
            _KAFKA_IN | {"encoding": "msgpack_numpy"},
            {
                "type": "TangoArrayScatterAttributeSink",
                "attribute_names": ["a", "b"],
                "attribute_shape_names": ["c", "d"],
                "axis": -1,
                "indices": [1],
                "default_value": 1,
            },
            dtype="int32",
            shape=[2, 3, 4],
        ),
        _exchange(
            _KAFKA_IN | {"encoding": "json"},
            {
                "type": "TangoObjectScatterAttributeSink",
                "attributes": [
                    {
                        "attribute_name": "z",
                        "dtype": "str",
                        "shape": [3],
                        "path": "rows[?name=='a'].x | [0]",
                        "filter": "length(rows) > `2`",
                        "default_value": "none",
                        "string_encoding": "latin-1",
                    }
                ],
            },
            dtype="object",
        ),
    )
]
"""Configurations with the components and options of the plugins of this repository."""


def _examples() -> Iterator[bytes]:
    registry = discover().registry
    for kind in (ComponentKind.SOURCE, ComponentKind.PIPE, ComponentKind.SINK):
        for component in registry.walk(kind):
            named = f'"{component.name}"'.encode()
            if not any(named in document for document in CONFIGURATIONS):
                yield json.dumps(example_of_type(component, registry)).encode()


EXAMPLES: Final[list[bytes]] = list(_examples())
"""What `explain` shows of each component that is installed and in none of those."""


def _scattered(**options: object) -> dict[str, Any]:
    attribute = {"attribute_name": "z", "dtype": "float64"} | options
    sink = {"type": "TangoObjectScatterAttributeSink", "attributes": [attribute]}
    return _exchange(_KAFKA_IN | {"encoding": "json"}, sink, dtype="object")


HOSTILE_CONFIGURATIONS: Final[list[bytes]] = [
    json.dumps(document).encode()
    for document in (
        *(_scattered(path=opening * 3000) for opening in ("(", "[", "!", "`[")),
        _scattered(shape=[2**31 - 1], default_value=0),
        _exchange(_TANGO_IN, _LOCAL, dtype="float64", shape=[2**31 - 1, 2**31 - 1]),
        _exchange(
            _KAFKA_IN,
            {"type": "TangoArrayScatterAttributeSink", "attribute_names": ["a", "b"]},
            dtype="float64",
            shape=[2**31 - 1] * 4,
        ),
        _exchange({"type": "InMemorySource", "data": [0] * 100}, _MEMORY, shape=[1] * 40),
        _exchange(_KAFKA_IN, _MEMORY, dtype=[["a", "float64", [2**31 - 1]]]),
    )
] + [b"[" * 100_000, b'{"exchanges":' * 5000, b"9" * 5000, b'"' + b"\\" * 20_001, b"\xff"]
"""Configurations that once ended in something else than a `ConfigError`, or well might."""
