"""Whether what came out is what went in: value, type, dtype and shape."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ("same",)


def same(found: Any, expected: Any) -> bool:
    """Whether both are equal to the last bit, where NaN equals NaN and text has any length."""
    if isinstance(expected, np.ndarray):
        return isinstance(found, np.ndarray) and _same_arrays(found, expected)
    if isinstance(expected, np.void):
        return isinstance(found, np.void) and _same_arrays(np.array(found), np.array(expected))
    return type(found) is type(expected) and _same_plain(found, expected)


def _same_plain(found: Any, expected: Any) -> bool:
    """Of one type already."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and same(
            [found[key] for key in expected], list(expected.values())
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float | complex | np.datetime64):
        return _same_arrays(np.array(found), np.array(expected))
    return bool(found == expected)


def _same_arrays(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    kinds = found.dtype.kind + expected.dtype.kind
    if found.shape != expected.shape or (found.dtype != expected.dtype and kinds != "UU"):
        return False
    names = expected.dtype.names
    if names is not None:
        return all(_same_arrays(found[name], expected[name]) for name in names)
    if expected.dtype.kind == "c":
        return _same_arrays(found.real, expected.real) and _same_arrays(found.imag, expected.imag)
    if expected.dtype.kind == "f":
        there = ~np.isnan(expected)
        signs = np.array_equal(np.signbit(found)[there], np.signbit(expected)[there])
        return signs and np.array_equal(found, expected, equal_nan=True)
    return np.array_equal(found, expected, equal_nan=expected.dtype.kind == "M")
