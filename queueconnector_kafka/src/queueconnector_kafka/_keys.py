"""JMESPath over values, for keys: checked when it is configured, searched in records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import jmespath
import numpy as np
from jmespath.exceptions import JMESPathError

from queueconnector_core.errors import ConfigError, RecordError

__all__ = ("key_search",)

_UNFIT: Final = (JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError)


def key_search(expression: str) -> Callable[[Any], bytes | None]:
    """The function that finds the key of a message in its value: text, or the JSON of a number.

    It gives None where there is nothing, and raises `RecordError` for what is no key. Raises
    `ConfigError` (empty path) for what is no JMESPath.
    """
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise ConfigError.at("", f"found {expression!r}, which is no JMESPath: {text}") from None

    def search(value: Any) -> bytes | None:
        try:
            found = compiled.search(_plain(value))
        except _UNFIT as error:
            raise RecordError(f"no key: {' '.join(str(error).split())}") from None
        if isinstance(found, str):
            return found.encode()
        if found is None or isinstance(found, bytes):
            return found
        if isinstance(found, bool | int | float):
            return json.dumps(found).encode()
        raise RecordError(f"no key: found {type(found).__name__}; allowed: text and numbers")

    return search


def _plain(value: Any) -> Any:
    """What JMESPath works on: rows of a structured array are objects, arrays are lists."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.names is None:
            return value.tolist()
        if isinstance(value, np.ndarray) and value.ndim:
            return [_plain(row) for row in value]
        return {name: _plain(value[name]) for name in value.dtype.names}  # type: ignore[index]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
