"""JMESPath over the values of an exchange: checked when it is configured, searched in records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import jmespath
import numpy as np
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from queueconnector_core.errors import ConfigError, RecordError

__all__ = ("Search", "compile_expression", "key_search", "holds", "plain")

Search: TypeAlias = Callable[[Any], Any]
"""Finds something in a plain document, None where nothing is; raises `RecordError`."""

_UNFIT: Final = (JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError)
"""JMESPath's own errors, and what its functions raise for values that JSON does not have (octets,
complex numbers) or that they do not expect: NaN to `floor`, text beside numbers to `max_by`."""

_SCALARS: Final = frozenset([type(None), bool, int, float, str])


def plain(value: Any) -> Any:
    """What JMESPath works on: objects, lists, text, numbers, true, false and null.

    Rows of a structured array are objects by field name; arrays and tuples are lists; datetime64
    is ISO text.
    """
    if isinstance(value, np.ndarray | np.generic):
        return _plain_numpy(value)
    # Scalars are most of a large document; to ask them here takes a fourth of the time.
    if isinstance(value, dict):
        return {
            name: part if type(part) in _SCALARS else plain(part) for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [part if type(part) in _SCALARS else plain(part) for part in value]
    return value


def _plain_numpy(value: np.ndarray[Any, np.dtype[Any]] | np.generic) -> Any:
    if value.dtype.kind == "M":
        return np.datetime_as_string(value).tolist()  # type: ignore[arg-type]
    names = value.dtype.names
    if names is None:
        return value.tolist()
    columns = [_plain_numpy(value[name]) for name in names]  # type: ignore[index]
    return _rows(names, columns, value.ndim)


def _rows(names: tuple[str, ...], columns: list[Any], depth: int) -> Any:
    """Objects by field name out of one (nested) list per field."""
    if not depth:
        return dict(zip(names, columns, strict=True))
    return [_rows(names, list(parts), depth - 1) for parts in zip(*columns, strict=True)]


def compile_expression(expression: str) -> Search:
    """The search for what an expression finds in a plain document.

    Raises `ConfigError` (empty path) for what is no JMESPath, and for what would fail in every
    record: functions that do not exist or take another number of arguments.
    """
    try:
        compiled = jmespath.compile(expression)
        _check(compiled.parsed)
    except (JMESPathError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ConfigError.at("", f"found {expression!r}, which is no JMESPath: {text}") from None
    except RecursionError:
        raise ConfigError.at("", "found a JMESPath that is nested too deeply") from None

    tree = compiled.parsed
    # `compiled.search` would make an interpreter for each record, which takes longer than a search.
    visit = TreeInterpreter().visit

    def search(document: Any) -> Any:
        try:
            return visit(tree, document)
        except _UNFIT as error:
            raise RecordError(" ".join(str(error).split())) from None

    return search


def key_search(expression: str) -> Callable[[Any], bytes | None]:
    """The function that finds the key of a record in its value: text, or the JSON of a number.

    It gives None where there is nothing, and raises `RecordError` for what is no key. Raises
    `ConfigError` as `compile_expression`.
    """
    compiled = compile_expression(expression)

    def search(value: Any) -> bytes | None:
        try:
            found = compiled(plain(value))
        except RecordError as error:
            raise RecordError(f"no key: {error}") from None
        if isinstance(found, str):
            return found.encode()
        if found is None or isinstance(found, bytes):
            return found
        if isinstance(found, bool | int | float):
            return json.dumps(found).encode()
        raise RecordError(f"no key: found {type(found).__name__}; allowed: text and numbers")

    return search


def _check(tree: dict[str, Any]) -> None:
    """Raise `ValueError` for what JMESPath itself finds only while it searches."""
    for node in _nodes(tree):
        if node["type"] == "function_expression":
            _check_call(node["value"], len(node["children"]))
        elif node["type"] == "slice" and node["children"][2] == 0:
            raise ValueError("the step of a slice cannot be 0")


def _check_call(name: str, arguments: int) -> None:
    if name not in Functions.FUNCTION_TABLE:
        known = ", ".join(Functions.FUNCTION_TABLE)
        raise ValueError(f"there is no function {name!r} (allowed: {known})")
    signature = Functions.FUNCTION_TABLE[name]["signature"]
    least = len(signature)
    any_number = bool(signature) and signature[-1].get("variadic", False)
    if arguments < least or (arguments > least and not any_number):
        wanted = f"{least} or more" if any_number else str(least)
        raise ValueError(f"{name}() takes {wanted} arguments, found {arguments}")


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)


def holds(result: Any) -> bool:
    """Whether JMESPath calls it true: only null, false and what is empty are not; 0 is."""
    return result is not None and result is not False and result not in ("", [], {})
