"""How repetitions are recognised."""

from __future__ import annotations

import numpy as np
import pytest

from queueconnector_core.record import Quality
from queueconnector_tango._events import Reading
from queueconnector_tango.repeats import Repeats


def reading(value: object, time_ns: int, quality: Quality = Quality.VALID) -> Reading:
    return Reading(value, quality, time_ns)


@pytest.mark.parametrize("value", [1.0, float("nan"), "text", np.array([1.0, np.nan]), ("a", b"b")])
def test_the_same_value_of_the_same_time_is_a_repetition_after_a_renewal(value: object) -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(value, 5))
    repeats.renew()
    assert repeats.is_repeat(reading(value, 5))


def test_an_older_value_is_one_too_but_a_newer_or_another_is_not() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(2, 5))
    repeats.renew()
    assert repeats.is_repeat(reading(1, 4))
    assert not repeats.is_repeat(reading(3, 5))
    assert not repeats.is_repeat(reading(4, 6))


def test_a_change_of_quality_is_no_repetition() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(None, 5, Quality.INVALID))
    assert not repeats.is_repeat(reading(1, 5))


def test_long_after_a_renewal_nothing_is_a_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(1, 5))
    monkeypatch.setattr("queueconnector_tango.repeats.SETTLING_S", -1.0)
    repeats.renew()
    assert not repeats.is_repeat(reading(1, 5))
    assert not repeats.is_repeat(reading(1, 4))
