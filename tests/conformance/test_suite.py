"""How a suite comes to its tests, and the tools that its tests are made with."""

from __future__ import annotations

import asyncio
import time

import pytest

from queueconnector_core.testing import (
    END,
    Capabilities,
    RecordingSink,
    ScriptedSource,
    SourceSuite,
    rule,
)
from queueconnector_core.testing.running import Streaming
from queueconnector_core.testing.watching import LoopWatch, cancelled_at


class Suite(SourceSuite):
    """Of nothing: it is only looked at."""

    __test__ = False

    @rule("4.1")
    def test_of_its_own(self) -> None:
        """Proves nothing."""


def suite(**given: object) -> type[SourceSuite]:
    return type("Made", (Suite,), {"component": "NoSource", **given})


def test_a_test_that_needs_more_than_there_is_does_not_exist() -> None:
    made = suite(capabilities=Capabilities(refuses=False, live=False))

    assert getattr(made, "test_an_unusable_record_is_a_failure", ...) is None
    missing = {found.test: found for found in made.not_applicable}
    assert missing["test_an_unusable_record_is_a_failure"].reason == "refuses=False"
    assert missing["test_read_ends_after_stop"].numbers == ("4.1",)
    assert "test_accept_all" not in missing


def test_a_suite_that_can_more_than_its_base_has_more_tests() -> None:
    base = suite(capabilities=Capabilities(refuses=False))
    more = type("More", (base,), {"component": "Other", "capabilities": Capabilities(refuses=True)})

    test = SourceSuite.test_an_unusable_record_is_a_failure
    assert more.test_an_unusable_record_is_a_failure is test  # type: ignore[attr-defined]
    assert base.test_an_unusable_record_is_a_failure is None


def test_a_waived_test_must_fail_and_the_base_stays_as_it_is() -> None:
    made = suite(waivers={"test_of_its_own": "it is late"})

    (mark,) = made.test_of_its_own.pytestmark  # type: ignore[attr-defined]
    assert (mark.name, mark.kwargs) == ("xfail", {"strict": True, "reason": "waived: it is late"})
    assert not hasattr(Suite.test_of_its_own, "pytestmark")


def test_a_waiver_of_what_is_no_test_is_refused() -> None:
    with pytest.raises(TypeError, match="waives what is no test: test_nothing"):
        suite(waivers={"test_nothing": "a typing error"})


@pytest.mark.parametrize("point", range(3))
async def test_a_coroutine_is_cancelled_at_the_await_that_was_meant(point: int) -> None:
    reached: list[int] = []

    async def three_awaits() -> None:
        for number in range(3):
            await asyncio.sleep(0)
            reached.append(number)

    async def cancelled() -> bool:
        return await cancelled_at(three_awaits(), point)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled())
    assert reached == list(range(point))


async def test_a_coroutine_with_fewer_awaits_ends() -> None:
    assert not await cancelled_at(asyncio.sleep(0), 5)


async def test_a_loop_that_stands_still_is_seen_with_what_stood_there() -> None:
    async with LoopWatch(0.1) as watch:
        await asyncio.sleep(0.05)
        time.sleep(0.4)  # noqa: ASYNC251 - that is seen

    assert watch.longest_s > 0.1
    assert "time.sleep(0.4)" in watch.where


async def test_a_scripted_source_ends_where_its_script_says() -> None:
    source, sink = ScriptedSource([1], END, [2], endless=True), RecordingSink()
    async with Streaming(source, sink) as streaming:
        await streaming.start()
        assert await streaming.until(lambda: sink.accepted == [1], 10)
        await streaming.drain(10)

    assert source.acknowledged == [1]
