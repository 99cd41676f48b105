"""Finds the time stamp of a message in the value itself.

A time is a number, milliseconds since the Unix epoch (UTC), or a datetime64, an instant on the TAI
scale. Fractions of a millisecond are cut off.
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.dataspec import DataSpec, dtype_literal
from queueconnector_core.errors import ConfigError, Problem, RecordError
from queueconnector_core.record import Value
from queueconnector_kafka._tai import mean_tai_ms, tai_to_unix_ms

__all__ = ("TimestampOptions", "extractor")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Reducer: TypeAlias = Literal["min", "max", "mean"]
Slice: TypeAlias = Annotated[
    tuple[int | None, ...],
    Meta(description="[start, stop, step], as in Python.", min_length=3, max_length=3),
]

TIME_KINDS: Final = "iufM"
ALLOWED: Final = "allowed: integers and floats (ms since the Unix epoch), datetime64 (TAI)"
MAX_MS: Final = 2**63 - 1


@attrs.frozen
class TimestampOptions:
    """Where the time stamp of a message stands in its value.

    Numbers are milliseconds since the Unix epoch, datetime64 is an instant on the TAI scale.
    """

    slices: Annotated[
        tuple[int | Slice, ...],
        Meta(
            description="Which items of an array hold the time: an index or [start, stop, step] "
            "for each dimension (of what `key` chooses, if it is given); empty: all."
        ),
    ] = ()
    key: Annotated[
        str | None,
        Meta(
            description="The field of a structured dtype, or the key of an object, that holds the "
            "time."
        ),
    ] = None
    reducer: Annotated[
        Reducer | None,
        Meta(description="What is made of several times: the first, the last or their mean."),
    ] = None

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` (`slices`, `key`, `reducer`) when no value of `spec` has one time.

        What the spec does not show (the items of objects, dimensions of any size) is checked in
        each value.
        """
        problems = [
            Problem(f"slices[{index}][2]", "found 0; a step is not zero")
            for index, chosen in enumerate(self.slices)
            if not isinstance(chosen, int) and chosen[2] == 0
        ]
        if not problems and not spec.is_object:
            problems = list(_slice_problems(self, _shape_of_times(self.key, spec)))
        if problems:
            raise ConfigError(problems)


def _shape_of_times(key: str | None, spec: DataSpec) -> tuple[int, ...]:
    """The shape of what the key chooses; raises `ConfigError` when that is no time."""
    dtype, shape, names = spec.dtype, spec.shape, spec.dtype.names
    if names is None and key is not None:
        text = f"found {key!r}, but dtype {spec} has no fields; leave it out"
        raise ConfigError.at("key", text)
    if names is not None:
        if key is None:
            text = f"is required to choose a field of dtype {spec} (allowed: {', '.join(names)})"
            raise ConfigError.at("key", text)
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise ConfigError.at("key", f"found {key!r}{hint} (allowed: {', '.join(names)})")
        dtype = dtype[key]
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape += inner
    if dtype.kind not in TIME_KINDS:
        text = f"dtype {dtype_literal(dtype)} is no time; {ALLOWED}"
        raise ConfigError.at("" if key is None else "key", text)
    return shape


def _slice_problems(options: TimestampOptions, shape: tuple[int, ...]) -> list[Problem]:
    if options.slices and len(options.slices) != len(shape):
        text = f"found {len(options.slices)}, shape {list(shape)} has {len(shape)} dimensions"
        return [Problem("slices", f"{text}; give one for each dimension, or none at all")]
    chosen = options.slices or ((None, None, None),) * len(shape)
    problems: list[Problem] = []
    known = 1
    for index, (item, size) in enumerate(zip(chosen, shape, strict=True)):
        if size < 0:
            continue
        if isinstance(item, int):
            if not -size <= item < size:
                text = f"found {item}; the dimension has the size {size}"
                problems.append(Problem(f"slices[{index}]", text))
            continue
        left = len(range(size)[slice(*item)])
        if not left:
            path = f"slices[{index}]" if options.slices else "slices"
            problems.append(Problem(path, f"leaves nothing of a dimension of the size {size}"))
        known *= left
    if known > 1 and options.reducer is None:
        text = f"is required, as {known} times are left (allowed: min, max, mean); or choose one"
        problems.append(Problem("reducer", f"{text} by slices"))
    return problems


def extractor(options: TimestampOptions) -> Callable[[Value], int]:
    """The function that finds the time stamp in a value: ms since the Unix epoch, UTC.

    It raises `RecordError` where there is no single time (several without a reducer, none, a
    missing key), for NaN, NaT and instants before 1972 TAI, and for what Kafka has no time stamp
    for: negative ones, more than 64 bits.
    """
    index = tuple(item if isinstance(item, int) else slice(*item) for item in options.slices)

    def extract(value: Value) -> int:
        times = _items(_chosen(value, options.key))
        if index:
            times = _sliced(times, index)
        if not times.size:
            _refuse("no value is left")
        if options.reducer in {"min", "max"}:
            times = np.asarray(getattr(_as_times(times), options.reducer)())
        elif times.size > 1 and options.reducer is None:
            _refuse(f"{times.size} values are left and there is no reducer")
        found = _mean_ms(_as_times(times))
        if not 0 <= found <= MAX_MS:
            _refuse(f"found {found} ms; allowed: 0 to {MAX_MS}")
        return found

    return extract


def _refuse(reason: str) -> NoReturn:
    raise RecordError(f"no time stamp: {reason}")


def _chosen(value: Any, key: str | None) -> Any:
    """What stands at a key: of an object, of each object in a list, of structured values."""
    if key is None:
        return value
    if isinstance(value, list):
        return [_at_key(item, key) for item in value]
    return _at_key(value, key)


def _at_key(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        keys: Any = value
    elif isinstance(value, np.ndarray | np.generic):
        keys = value.dtype.names or ()
    else:
        _refuse(f"found {type(value).__name__}, which has no key {key!r}")
    if key not in keys:
        _refuse(f"there is no key {key!r} among {reprlib.repr(list(keys))}")
    return value[key]


def _items(found: Any) -> Array:
    if isinstance(found, np.ndarray | np.generic) or type(found) in {int, float}:
        return np.asarray(found)
    try:
        # As dtype object: otherwise all items would get the size of the longest text among them.
        return np.asarray(found, dtype=object)
    except ValueError as error:
        _refuse(f"found {type(found).__name__}: {error}")


def _sliced(times: Array, index: tuple[int | slice, ...]) -> Array:
    if len(index) != times.ndim:
        _refuse(f"{len(index)} slices for an array of {times.ndim} dimensions")
    try:
        chosen: Array = times[(*index, ...)]
    except IndexError:
        _refuse(f"the slices choose an item outside of the shape {list(times.shape)}")
    return chosen


def _as_times(items: Array) -> Array:
    """Items of an object as an array of numbers or of datetime64."""
    if items.dtype.kind == "O":
        kinds = {type(item) for item in items.flat}
        dtype: Any = None
        if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
            dtype = np.int64
        elif all(issubclass(k, int | float | np.number) and k is not bool for k in kinds):
            dtype = np.float64
        elif kinds != {np.datetime64}:
            words = ", ".join(sorted(kind.__name__ for kind in kinds))
            _refuse(f"found {words}; {ALLOWED}")
        try:
            return np.array(items.tolist(), dtype)
        except (OverflowError, ValueError, TypeError) as error:
            _refuse(str(error))
    if items.dtype.kind not in TIME_KINDS:
        _refuse(f"found dtype {items.dtype}; {ALLOWED}")
    return items


def _mean_ms(times: Array) -> int:
    """The mean of times in whole milliseconds since the Unix epoch, exact but for floats."""
    if times.dtype.kind == "M":
        try:
            return tai_to_unix_ms(mean_tai_ms(times))
        except ValueError as error:
            _refuse(str(error))
    numbers: list[Any] = times.ravel().tolist()
    if times.dtype.kind != "f":
        return int(sum(numbers) // len(numbers))
    try:
        mean = math.fsum(numbers) / len(numbers)
        return math.floor(mean)
    except (OverflowError, ValueError):
        _refuse(f"found {reprlib.repr(numbers)}; allowed: finite numbers")
