"""What is fuzzed, and what is asked of it: one kind of error, in bounded time and memory."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any, Final
from unittest import mock

import numpy as np

from queueconnector_core import dataspec
from queueconnector_core.codecs import resolve_codec
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.plan import read_plan
from queueconnector_core.registry import Registry
from queueconnector_tango.attributes import LocalAttributes
from queueconnector_tango.host import AttributeHost
from tests.fuzz.corpus import CODEC_REGISTRY, Case

__all__ = ("decode", "installed", "read_configuration", "within_limits")

TIME_S: Final = 1.0
"""CPU time that no input may take, in seconds."""
MEMORY: Final = 2 * 2**20
"""Octets that any input may take."""
MEMORY_PER_OCTET: Final = 200
"""Octets that it may take beside, for each of its own: an empty dict is two of them in JSON."""


def within_limits(target: Callable[[bytes], None], data: bytes) -> None:
    """Run `target`; raises `AssertionError` when it took too long or too much memory.

    Needs `tracemalloc` to be started.
    """
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    begin = time.process_time()
    target(data)
    spent_s = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    assert spent_s < TIME_S, f"took {spent_s:.1f} s"
    allowed = MEMORY + MEMORY_PER_OCTET * len(data)
    assert peak - before < allowed, f"took {peak - before} octets for {len(data)}"


def decode(case: Case, data: bytes) -> None:
    """A message gives a value or a `RecordError`, twice the same, and spoils nothing after it."""
    decoder = resolve_codec(case.encoding, case.spec, CODEC_REGISTRY).decoder(case.spec)
    first, second = _outcome(decoder, data), _outcome(decoder, data)
    assert first == second, f"{first}, then {second}"
    for valid in case.valid:
        assert _outcome(decoder, valid) is not RecordError, "a good message was then refused"


def _outcome(decoder: Callable[[bytes], Any], data: bytes) -> object:
    """What everybody downstream would see of the value."""
    try:
        value = decoder(data)
    except RecordError:
        return RecordError
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, repr(value.tolist())
    return repr(value)


def read_configuration(data: bytes) -> None:
    """Any text gives a plan or a `ConfigError`.

    Large arrays may be asked for and take their memory. Here they are refused from 64 KiB on, so
    that what is out of proportion can be told from them.
    """
    text = data.decode(errors="surrogateescape")
    with contextlib.suppress(ConfigError), mock.patch.object(dataspec, "MAX_OCTETS", 2**16):
        read_plan(text, *installed())


@cache
def installed() -> tuple[Registry, Services]:
    """All plugins, and the services of a device."""
    report = discover()
    assert not report.broken
    host = LocalAttributes(None)  # type: ignore[arg-type]  # only its check is used: no device
    return report.registry, Services({AttributeHost: host})
