"""Values that tell themselves apart, and how two values are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import attrs
import numpy as np

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.record import Value

__all__ = ("STANDARD_DTYPES", "numbered", "identity", "Comparison", "of_spec")

STANDARD_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128", "datetime64[ns]", "U8"),
    *("str", "bytes", "object"),
)
"""The dtypes that a suite asks descriptors and codecs about."""


def numbered(spec: DataSpec, first: int, count: int) -> list[Value]:
    """Values of `spec`, from number `first` on; as far as the dtype can, no two are equal."""
    return [_value(spec, number) for number in range(first, first + count)]


def _value(spec: DataSpec, number: int) -> Value:
    if spec.is_bytes:
        return "", b"%d" % number
    if spec.is_object:
        return {"number": number}
    size = [2 if length < 0 else length for length in spec.shape]
    items = np.empty(size, object)
    items.fill(_item(spec.dtype, number))
    return converter(spec)(items.tolist())


def _item(dtype: np.dtype[Any], number: int) -> Any:
    if dtype.names is not None:
        return tuple(_item(dtype[name], number) for name in dtype.names)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.full(shape, _item(base, number)).tolist()
    if dtype.kind == "b":
        return bool(number % 2)
    if dtype.kind in "iu":
        return number % (int(np.iinfo(dtype).max) + 1)
    if dtype.kind == "M":
        return np.array(number).astype(dtype)[()]
    return str(number) if dtype.kind == "U" else float(number)


def identity(value: object) -> Hashable:
    """What two values have in common exactly when they are the same, with dtype and shape."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str, value.shape, repr(value.tolist())
    if isinstance(value, dict | list | tuple):
        return repr(value)
    return type(value).__name__, repr(value)


@attrs.frozen
class Comparison:
    """What was expected beside what came."""

    lost: list[Hashable]
    twice: list[Hashable]
    strange: list[Hashable]
    """What came and was not expected at all."""

    @classmethod
    def of(cls, expected: Iterable[Hashable], found: Iterable[Hashable]) -> Comparison:
        """Compare two collections of identities, without their order."""
        wanted, came = Counter(expected), Counter(found)
        return cls(
            [name for name in wanted if name not in came],
            [name for name, count in came.items() if count > wanted[name] > 0],
            [name for name in came if name not in wanted],
        )


def of_spec(value: Value, spec: DataSpec) -> bool:
    """Whether a value has exactly the dtype and shape of `spec`, as Python or numpy types it."""
    if spec.is_object:
        return True
    if spec.shape:
        return (
            isinstance(value, np.ndarray)
            and spec.matches(value.shape)
            and (value.dtype == spec.dtype or (spec.is_text and value.dtype.kind == "U"))
        )
    if spec.is_bytes:
        return isinstance(value, tuple) and [type(part) for part in value] == [str, bytes]
    if spec.is_structured or spec.dtype.kind == "M":
        return isinstance(value, np.generic) and value.dtype == spec.dtype
    return type(value) is type(np.zeros((), spec.dtype).item())


def shown(names: Sequence[Hashable]) -> str:
    """The first few of many, for a message."""
    first = ", ".join(str(name) for name in names[:5])
    return f"{len(names)} ({first}{', …' if len(names) > 5 else ''})" if names else "none"
