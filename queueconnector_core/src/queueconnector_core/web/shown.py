"""A record as a viewer sees it: JSON values, with what is large made smaller."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import attrs
import numpy as np

from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import Search, compile_expression
from queueconnector_core.provenance import time_text
from queueconnector_core.record import Metadata, Record

__all__ = ("Look", "plain")

MAX_TEXT: Final = 10_000
MAX_PREVIEW: Final = 3_072
MAX_LABEL: Final = 1_024
MAX_EXPRESSION: Final = 1_000
MAX_DEPTH: Final = 64


@attrs.frozen
class Look:
    """How records are shown."""

    max_items: int = 4_096
    """An array with more items is shown in steps along each axis."""
    select: Search | None = None
    """A compiled JMESPath that is searched in each value; None: the value itself."""

    @classmethod
    def of(cls, max_items: int, select: str | None) -> Look:
        """Raises `ConfigError` for what is no JMESPath."""
        if select is None:
            return cls(max_items)
        if len(select) > MAX_EXPRESSION:
            raise ConfigError.at("select", f"has more than {MAX_EXPRESSION} characters")
        try:
            return cls(max_items, compile_expression(select))
        except ConfigError as error:
            raise error.under("select") from None

    def shown(self, record: Record) -> dict[str, Any] | None:
        """The record as a JSON object; None when `select` finds nothing in it."""
        told = _metadata(record.metadata)
        if self.select is None:
            return told | _value(record.value, self.max_items)
        try:
            found = self.select(plain(record.value, None))
        except RecordError as error:
            return told | {"value": None, "error": f"select: {error}"}
        return None if found is None else told | {"value": found}


def _metadata(known: Metadata) -> dict[str, Any]:
    stamp = known.timestamp_ns
    return {
        "time": None if stamp is None else time_text(stamp),
        "time_origin": known.timestamp_origin.value,
        "quality": known.quality.value,
        "key": None if known.key is None else _text(known.key),
        "headers": [[name, _text(octets)] for name, octets in known.headers],
        "position": known.position,
        "source": known.source,
        "event": known.event,
    }


def _text(octets: bytes | None) -> str | None:
    """Octets as text, for people; those that are no text as escapes."""
    return None if octets is None else octets[:MAX_LABEL].decode("utf-8", "backslashreplace")


def _value(value: Any, max_items: int) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        return {"value": plain(value, max_items)}
    step = _step(value, max_items)
    told = {"dtype": str(value.dtype), "shape": list(value.shape)}
    return {"value": plain(value, max_items), **told, **({"step": step} if step > 1 else {})}


def _step(array: np.ndarray[Any, Any], max_items: int) -> int:
    """Every how many items are shown along each axis."""
    if array.size <= max_items or not array.ndim:
        return 1
    step: int = math.ceil((array.size / max_items) ** (1 / array.ndim))
    while math.prod(math.ceil(size / step) for size in array.shape) > max_items:
        step += 1
    return step


def plain(value: Any, max_items: int | None, depth: int = MAX_DEPTH) -> Any:
    """The JSON form of a value; `max_items` None: whole.

    Structured items are objects, complex numbers pairs, octets an object with a preview in base64.
    What JSON has no number for is the text "NaN", "Infinity" or "-Infinity".
    """
    if isinstance(value, np.ndarray | np.generic):
        return _plain_numpy(np.asarray(value), max_items)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | complex):
        return _number(value)
    if isinstance(value, str):
        return value if max_items is None or len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    return _plain_container(value, max_items, depth)


def _number(value: complex) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _odd(value)
    return [_number(value.real), _number(value.imag)]


def _plain_container(value: Any, max_items: int | None, depth: int) -> Any:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], bytes):
        return {"format": value[0], **_octets(value[1])}
    if isinstance(value, bytes | bytearray | memoryview):
        return _octets(bytes(value))
    if depth <= 0 or not isinstance(value, dict | list | tuple):
        return repr(value)[:MAX_LABEL]
    if isinstance(value, dict):
        return {str(name): plain(part, max_items, depth - 1) for name, part in value.items()}
    return [plain(part, max_items, depth - 1) for part in value]


def _odd(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _octets(octets: bytes) -> dict[str, Any]:
    preview = base64.b64encode(octets[:MAX_PREVIEW]).decode()
    return {"octets": len(octets), "base64": preview}


def _plain_numpy(array: np.ndarray[Any, Any], max_items: int | None) -> Any:
    step = 1 if max_items is None else _step(array, max_items)
    if step > 1:
        array = array[(slice(None, None, step),) * array.ndim]
    if array.dtype.names is not None:
        columns = {name: _plain_numpy(array[name], max_items) for name in array.dtype.names}
        return _rows(columns, array.ndim)
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).tolist()
    if array.dtype.kind in "cOS" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        return plain(array.tolist(), max_items)
    return array.tolist()


def _rows(columns: dict[str, Any], dimensions: int) -> Any:
    """Objects by field name out of one (nested) list per field."""
    if not dimensions:
        return columns
    parts = zip(*columns.values(), strict=True)
    return [_rows(dict(zip(columns, part, strict=True)), dimensions - 1) for part in parts]
