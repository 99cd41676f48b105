"""Our messages are read, and theirs understood, by programs that know nothing of us (rule 7.2)."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from queueconnector_core.codecs import CODECS, resolve_codec
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError

PROGRAM = Path(__file__).with_name("reference_process.py")
POINTING: Final = [["antenna_name", "U8"], ["az", "float64"], ["beam", "float64", [3]]]
VALUES: Final[list[tuple[Any, list[int], Any]]] = [
    ("bool", [], True),
    ("int8", [], -128),
    ("uint64", [], 2**64 - 1),
    ("int64", [], -(2**63)),
    ("float64", [], 5e-324),
    ("float32", [], 1.1),
    ("str", [], "zażółć gęślą 電波 🛰"),
    ("str", [], "plain"),
    ("object", [], {"a": [1, 2.5, None, "é"], "b": {"c": True}}),
    ("complex128", [], 1 - 2j),
    ("float64", [3], [1.5, -0.0, 1e300]),
    ("float64", [0], []),
    ("int16", [2, 3], [[1, 2, 3], [-4, -5, -6]]),
    ("bool", [2], [True, False]),
    ("uint8", [2, 2, 2], np.arange(8).reshape(2, 2, 2)),
    ("float32", [-1], [1.5, np.inf, -np.inf]),
    ("float64", [2], [np.nan, 1.0]),
    ("str", [2], ["é", ""]),
    ("datetime64[ns]", [], "2024-08-01T18:49:46.225"),
    (POINTING, [2], [("SKA001", 1.5, [1, 2, 3]), ("SKA002", -1.5, [4, 5, 6])]),
]


def finite(value: Any) -> bool:
    """Whether all numbers in it are finite."""
    array = np.asarray(value)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def is_beyond_reference(encoding: str, spec: DataSpec, value: Any) -> bool:
    """What the reference implementation cannot do; documented with the encoding."""
    if encoding == "python":
        # ast.literal_eval reads neither nan nor inf, and has no signs for complex numbers.
        return not finite(value) or spec.dtype.kind == "c"
    if encoding == "ascii":
        return not str(value).isascii()
    # msgpack-numpy reads datetime64, but cannot write it.
    return encoding == "msgpack_numpy" and spec.dtype.kind == "M"


def test_the_reference_libraries_read_ours_and_we_read_theirs() -> None:
    registry = discover().registry
    cases = []
    for encoding, _ in CODECS:
        for dtype, shape, literal in VALUES:
            spec = DataSpec.of(dtype, shape)
            value = converter(spec)(literal)
            try:
                codec = resolve_codec(encoding, spec, registry)
            except ConfigError:
                continue
            if not is_beyond_reference(encoding, spec, value):
                cases.append((encoding, spec, value, codec))
    requests = [
        (encoding, spec.dtype, np.asarray(value).shape, codec.encoder(spec)(value))
        for encoding, spec, value, codec in cases
    ]

    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=pickle.dumps(requests),
        capture_output=True,
        check=True,
    )
    ours, answers = pickle.loads(done.stdout)  # noqa: S301 - of our own program

    assert ours == []
    assert len(answers) == len(cases) > 60
    for (encoding, spec, value, codec), (shown, written) in zip(cases, answers, strict=True):
        came_back: Any = codec.decoder(spec)(written)
        where = f"{encoding} {spec}: the reference read {shown}"
        assert type(came_back) is type(value), where
        np.testing.assert_equal(came_back, value, where)
