"""Encodings: what a value costs beside the implementation that everybody would write first.

The obvious ones are `repr` and `ast.literal_eval`, `json`, `msgpack` with `msgpack_numpy`,
`np.save` and `np.load`, `tobytes` and `np.frombuffer`. Each reads what the other has written.
"""

from __future__ import annotations

import ast
import io
import json
import time
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

import attrs
import msgpack
import msgpack_numpy
import numpy as np

from bench.measure import Comparison, Measurement, Options, at_least, check_equal, compare
from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.registry import Registry

__all__ = ("GOALS", "benchmark", "codecs")

PARTS: Final = ("encode", "decode", "both")
ROUND_S: Final = 0.02
"""How long the obvious implementation is measured in a round, in seconds; at least once."""
Part = tuple[str, str, str]
"""Encoding, kind of value, and `encode`, `decode` or `both`."""
GOALS: Final[Mapping[Part, float]] = {
    ("npy", "float64[1000]", "both"): 20.0,
    ("npy", "struct[64]", "both"): 30.0,
    ("msgpack_numpy", "float64[1000]", "both"): 3.0,
    ("msgpack_numpy", "struct[64]", "both"): 8.0,
    ("json", "float64[1000]", "both"): 8.0,
    ("json", "float64[100000]", "both"): 8.0,
    ("python", "float64[1000]", "decode"): 10.0,
    ("python", "float64[100000]", "decode"): 10.0,
}
"""How many times as fast as the obvious implementation."""


@attrs.frozen
class Way:
    """An encoder and a decoder."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _save(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return file.getvalue()


def _obvious(encoding: str, spec: DataSpec) -> Way:
    """The way of the libraries; text encodings give arrays where `spec` has a shape."""

    def array(found: Any) -> Any:
        return np.array(found, spec.dtype) if spec.shape else found

    ways = {
        "python": Way(
            lambda value: repr(_plain(value)).encode(),
            lambda data: array(ast.literal_eval(data.decode())),
        ),
        "json": Way(
            lambda value: json.dumps(_plain(value)).encode(), lambda data: array(json.loads(data))
        ),
        "msgpack_numpy": Way(
            lambda value: msgpack.packb(value, default=msgpack_numpy.encode),
            lambda data: msgpack.unpackb(data, object_hook=msgpack_numpy.decode),
        ),
        "npy": Way(_save, lambda data: np.load(io.BytesIO(data), allow_pickle=False)),
        "carray": Way(
            lambda value: np.asarray(value).tobytes(),
            lambda data: np.frombuffer(data, spec.dtype) if spec.shape else data,
        ),
        "utf-8": Way(lambda value: str(value).encode(), lambda data: data.decode()),
    }
    return ways[encoding]


def _cases() -> list[tuple[str, DataSpec, Any, Sequence[str]]]:
    random = np.random.default_rng(1)
    row = [["name", "U6"], ["x", "float64"], ["y", "float64"], ["z", "float64"]]
    rows = np.zeros(64, DataSpec.of(row).dtype)
    rows["name"] = "SKA001"
    container = {f"key_{n}": n * 1.5 if n % 2 else f"value {n}" for n in range(20)}
    text, numbers = ("python", "json", "msgpack_numpy"), ("msgpack_numpy", "npy", "carray")
    found: list[tuple[str, DataSpec, Any, Sequence[str]]] = [
        ("float64", DataSpec.of("float64"), 1.5, (*text, "npy"))
    ]
    for size in (1000, 100_000):
        spec = DataSpec.of("float64", [size])
        found.append((f"float64[{size}]", spec, random.random(size), (*text[:2], *numbers)))
    found += [
        ("struct[64]", DataSpec.of(row, [64]), rows, numbers),
        ("dict of 20", DataSpec.of("object"), container, text),
        ("str of 16", DataSpec.of("str"), "abcdefghijklmnop", (*text, "utf-8")),
    ]
    return found


def benchmark(options: Options) -> list[Comparison]:
    """As `codecs`, for the command line."""
    return codecs(options.rounds)


def codecs(rounds: int, chosen: Container[Part] | None = None) -> list[Comparison]:
    """Encoding, decoding and both, for each encoding and each kind of value; or what is chosen."""
    registry = Registry().with_(queueconnector_components())
    found = []
    for name, spec, value, encodings in _cases():
        for encoding in encodings:
            parts = [part for part in PARTS if chosen is None or (encoding, name, part) in chosen]
            if not parts:
                continue
            codec = resolve_codec(encoding, spec, registry)
            ways = {
                "obvious": _obvious(encoding, spec),
                "codec": Way(codec.encoder(spec), codec.decoder(spec)),
            }
            for writer in ways.values():
                for reader in ways.values():
                    check_equal(_plain(reader.decode(writer.encode(value))), _plain(value))
            found += [_compare((encoding, name, part), ways, value, rounds) for part in parts]
    return found


def _compare(part: Part, ways: dict[str, Way], value: Any, rounds: int) -> Comparison:
    encoding, name, does = part
    actions = {case: _action(way, does, value) for case, way in ways.items()}
    times = max(1, round(ROUND_S / _once_s(actions["obvious"])))
    cases = [(case, _measured(action, times)) for case, action in actions.items()]
    goal = GOALS.get(part)
    goals = () if goal is None else (at_least(goal, "cpu_rate", "codec", row=11),)
    return compare(f"{encoding} {name}, {does}", cases, rounds, goals)


def _action(way: Way, part: str, value: Any) -> Callable[[], object]:
    wire = way.encode(value)
    encode, decode = way.encode, way.decode
    if part == "encode":
        return lambda: encode(value)
    return (lambda: decode(wire)) if part == "decode" else (lambda: decode(encode(value)))


def _once_s(action: Callable[[], object]) -> float:
    action()
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _measured(action: Callable[[], object], times: int) -> Callable[[], Measurement]:
    def measure() -> Measurement:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(times):
            action()
        return Measurement(
            times, time.perf_counter() - wall_s, max(time.process_time() - cpu_s, 1e-9)
        )

    return measure
