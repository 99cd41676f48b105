"""How the sinks claim attributes: checked names, types and default values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import attrs

from queueconnector_core.conversion import convert_default
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, Problem, RecordError
from queueconnector_core.record import Value
from queueconnector_tango.dtypes import StringEncoding, check_attribute, encoder
from queueconnector_tango.host import AttributeClaim

__all__ = ("OWN_ATTRIBUTES", "attribute_claim", "check_attribute_name", "Problems", "collect")

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_ATTRIBUTES: Final = (
    "State",
    "Status",
    "exchanges_healthy",
    "exchanges_statistics",
    "exchanges_gaps",
)
"""Those that the device has whatever is configured."""

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define
class Problems:
    """Gathers the problems of several checks, so that all are told at once."""

    found: list[Problem] = attrs.field(factory=list)

    def at(
        self, path: str, check: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Run a check; its result, or None when it raised `ConfigError`."""
        try:
            return check(*args, **kwargs)
        except ConfigError as error:
            self.found.extend(error.under(path).problems)
            return None


@contextmanager
def collect() -> Iterator[Problems]:
    """Gather problems; raises `ConfigError` at the end when there are any."""
    problems = Problems()
    yield problems
    if problems.found:
        # What many attributes have in common, such as their dtype, is told once.
        raise ConfigError(dict.fromkeys(problems.found))


def check_attribute_name(name: str) -> None:
    """Raise `ConfigError` (empty path) for a name that the device cannot or must not take.

    Tango itself checks no names: an attribute `a b` would exist, but not every client could
    read it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError.at(
            "", f"found {name!r}; allowed: letters, digits and underscores, no digit at the start"
        )
    if name.casefold() in map(str.casefold, OWN_ATTRIBUTES):
        own = ", ".join(OWN_ATTRIBUTES)
        raise ConfigError.at("", f"found {name!r}; the device itself has {own}")


def attribute_claim(
    name: str,
    spec: DataSpec,
    default_value: Any,
    string_encoding: StringEncoding,
    *,
    path: str,
    default_path: str = "default_value",
) -> AttributeClaim:
    """The claim of one attribute; `path` and `default_path` are where its options stand.

    Raises `ConfigError` with every problem of name, type, shape and default value.
    """
    with collect() as problems:
        problems.at(path, check_attribute_name, name)
        before = len(problems.found)
        problems.at("", check_attribute, spec)
        default = None
        if len(problems.found) == before:
            default = problems.at(default_path, _default, default_value, spec, string_encoding)
    return AttributeClaim(name, spec, default, string_encoding, path=path)


def _default(value: Any, spec: DataSpec, string_encoding: StringEncoding) -> Value:
    """The value that the attribute starts with; None: no value yet."""
    default = convert_default(value, spec)
    if default is not None:
        try:
            encoder(spec, string_encoding)(default)
        except RecordError as error:
            raise ConfigError.at("", str(error)) from None
    return default
