"""The library in its thread: what it tells, what it writes, and what it survives."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devservices.process import wait_until
from queueconnector_core.component import ComponentKind
from queueconnector_core.config.protocol import ConfigContext, Fault, Synced
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.states import State
from queueconnector_core.testing.config_source import Following
from queueconnector_sdp import sdp_source, sdp_thread
from queueconnector_sdp.descriptors import SdpConfigSourceDescriptor
from queueconnector_sdp.sdp_source import SdpConfigSource
from tests.sdp.conftest import HOST, Place, followed, report
from tests.sdp.ska_sdp_config import Config, RawTransaction, Watcher

Connect = Callable[[], Any]
FAULT = Fault("FatalError", "it broke", "g1", None, 1_700_000_001.5, "9")


def build(place: Place, connect: Connect | None = None, **options: Any) -> SdpConfigSource:
    descriptor = SdpConfigSourceDescriptor(path=place.path, **options)
    return SdpConfigSource(
        descriptor, ConfigContext(HOST), connect or (lambda: Config(place.server.url))
    )


@asynccontextmanager
async def following_of(
    place: Place, connect: Connect | None = None, **options: Any
) -> AsyncIterator[tuple[SdpConfigSource, Following]]:
    async with followed(build(place, connect, **options)) as both:
        yield both


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It connects anew soon, and afterwards its thread has ended."""
    monkeypatch.setattr(sdp_thread, "WAIT_S", 0.05)
    yield
    assert not threads()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ska-sdp-config"]


async def test_what_is_no_document_is_not_told(place: Place) -> None:
    place.put_now(None, '{"pid": 1, "hostname": "h", "command": []}')
    for names in (("g1", "deep"), ("state",), ("fault",)):
        place.server.put(place.key(*names), "{}")
    place.put_now("g1", "1")
    async with following_of(place) as (_, following):
        assert following.documents == {"g1": "1"}
        place.put_now(None, '{"exchanges": []}')
        await following.until_documents({"g1": "1", "default": '{"exchanges": []}'})


async def test_state_and_fault_stand_below_the_document_as_with_etcd(place: Place) -> None:
    place.put_now("g1", "1")
    async with following_of(place) as (source, following):
        await source.report(report(following, state=State.FAULT, fault=FAULT))
        assert json.loads(str(place.read("g1", "fault")))["message"] == "it broke"
        await source.report(report(following, state=State.FAULT, fault=FAULT))
        await source.report(report(following))
        assert json.loads(str(place.read("g1", "state"))) == {
            "state": "ON",
            "since": "2023-11-14T22:13:20.000+00:00",
            "config_version": following.version("g1"),
            "device": HOST,
        }
        assert place.server.details(place.key("g1", "state"))["lease"] != "0"
        assert place.read("g1", "fault") is None
        assert len(following.updates) == 1
    assert place.read("g1", "state") is None


async def test_a_report_is_written_at_once_although_the_watcher_waits(place: Place) -> None:
    place.put_now("g1", "1")
    async with following_of(place, poll_s=60) as (source, following):
        began = time.monotonic()
        await source.report(report(following))
        assert time.monotonic() - began < 2


async def test_a_report_about_a_former_version_is_dropped(place: Place) -> None:
    place.put_now("g1", "1")
    async with following_of(place) as (source, following):
        former = report(following)
        place.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        await source.report(former)
        assert place.read("g1", "state") is None


async def test_a_report_is_dropped_by_the_database_when_we_do_not_know_better(
    place: Place,
) -> None:
    place.put_now("g1", "1")
    async with following_of(place) as (source, following):
        told = source._told["g1"]
        place.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        source._told["g1"] = told
        await source.report(report(following, seen=told.version))
        assert place.read("g1", "state") is None


async def test_what_is_gone_has_no_reports(place: Place) -> None:
    place.put_now("g1", "1")
    async with following_of(place) as (source, following):
        await source.report(report(following, state=State.FAULT, fault=FAULT))
        await place.delete("g1")
        await following.until_documents({})
        await source.report(report(following, state=None))
        assert place.read("g1", "state") is None
        assert place.read("g1", "fault") is None
        assert following.updates[-1].grace_s == 0


async def test_a_crash_of_the_server_is_told_and_outlasted(fragile: Place) -> None:
    fragile.put_now("g1", "1")
    fragile.put_now("g2", "1")
    async with following_of(fragile) as (source, following):
        await source.report(report(following, "g2"))
        fragile.server.kill()
        await following.until(lambda: following.outages)
        with pytest.raises(RetryableError):
            await source.report(report(following, "g2", State.CLOSE))
        await asyncio.to_thread(fragile.server.start)
        fragile.put_now("g1", "2")
        await following.until_documents({"g1": "2", "g2": "1"})
        await following.until_synced(2)
        assert len(following.outages) == 1
        await asyncio.to_thread(wait_until, lambda: fragile.read("g2", "state"), 10, "the state")


async def test_a_database_that_lost_its_content_gives_a_time_of_grace(fragile: Place) -> None:
    fragile.put_now("g1", "1")
    async with following_of(fragile, reset_grace_s=12) as (_, following):
        await asyncio.to_thread(fragile.server.wipe)
        await following.until_documents({})
        assert following.updates[-1].grace_s == 12


async def test_a_reset_that_the_library_did_not_notice_gives_it_too(fragile: Place) -> None:
    """As with 0.3.2, when the server is back before the next poll."""

    class Dozes(Config):
        def wait(self, watcher: Watcher) -> None:
            watcher._triggered.wait()
            watcher._triggered.clear()

    fragile.put_now("g1", "1")
    fragile.put_now("g1", "1")
    connect = lambda: Dozes(fragile.server.url)  # noqa: E731
    async with following_of(fragile, connect, reset_grace_s=12) as (source, following):
        await asyncio.to_thread(fragile.server.wipe)
        assert source._thread is not None
        source._thread._wake()
        await following.until_documents({})
        assert following.updates[-1].grace_s == 12
        assert following.outages == []


async def test_content_that_vanishes_with_our_state_gives_a_time_of_grace(place: Place) -> None:
    """As a reset that is too quick to be noticed otherwise."""
    place.put_now("g1", "1")
    async with following_of(place, reset_grace_s=12) as (source, following):
        await source.report(report(following))
        place.server.txn((place.key("g1"), None), (place.key("g1", "state"), None))
        await following.until_documents({})
        assert following.updates[-1].grace_s == 12


async def test_states_are_written_again_when_the_lease_was_lost(place: Place) -> None:
    place.put_now("g1", "1")
    async with following_of(place, poll_s=0.2) as (source, following):
        await source.report(report(following))
        lease = place.server.details(place.key("g1", "state"))["lease"]
        place.server.revoke(lease)
        await asyncio.to_thread(wait_until, lambda: place.read("g1", "state"), 5, "the state")
        assert place.server.details(place.key("g1", "state"))["lease"] not in {"0", lease}


async def test_a_watcher_that_ends_is_begun_anew(place: Place) -> None:
    """As with the memory backend of 0.3.2, whose watcher iterates once."""

    class Ends(Config):
        def watcher(self, timeout: float | None = None) -> Iterator[Watcher]:
            yield next(iter(super().watcher(timeout)))

    async with following_of(place, lambda: Ends(place.server.url)) as (_, following):
        for number in range(3):
            place.put_now("g1", str(number))
            await following.until_documents({"g1": str(number)})
        assert following.outages == []


@pytest.mark.parametrize("where", ["connect", "watcher", "read", "wait", "close"])
async def test_whatever_it_raises_is_told_and_it_connects_anew(place: Place, where: str) -> None:
    broken = threading.Event()

    def fail(at: str) -> None:
        if broken.is_set() and at == where:
            broken.clear()
            raise AssertionError("a defect") if where != "close" else OSError("gone")

    class Fails(Config):
        def __init__(self) -> None:
            super().__init__(place.server.url)
            fail("connect")

        def watcher(self, timeout: float | None = None) -> Iterator[Watcher]:
            fail("watcher")
            for watcher in super().watcher(timeout):
                fail("read")
                yield watcher

        def wait(self, watcher: Watcher) -> None:
            watcher.wait()
            fail("wait")
            if broken.is_set() and where in {"connect", "watcher", "close"}:
                raise ValueError("so that it connects anew")

        def close(self) -> None:
            super().close()
            fail("close")

    async with following_of(place, Fails, poll_s=0.1) as (_, following):
        broken.set()
        await following.until(lambda: following.outages)
        await following.until_synced(2)
        place.put_now("g1", "1")
        await following.until_documents({"g1": "1"})


async def test_a_watcher_that_only_wakes_when_triggered_stops_at_once(place: Place) -> None:
    class Hangs(Config):
        def wait(self, watcher: Watcher) -> None:
            watcher._triggered.wait()
            watcher._triggered.clear()

    place.put_now("g1", "1")
    async with following_of(place, lambda: Hangs(place.server.url)) as (source, following):
        await source.report(report(following))
        assert place.read("g1", "state") is not None
        began = time.monotonic()
    assert time.monotonic() - began < 1


async def test_a_library_that_hangs_for_good_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sdp_source, "STOP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(sdp_source, "REPORT_TIMEOUT_S", 0.3)
    free, hangs = threading.Event(), threading.Event()

    class Hangs(Config):
        def wait(self, watcher: Watcher) -> None:
            hangs.set()
            free.wait()

    place.put_now("g1", "1")
    async with following_of(place, lambda: Hangs(place.server.url)) as (source, following):
        assert await asyncio.to_thread(hangs.wait, 5)
        with pytest.raises(RetryableError, match=r"within 0\.3 s"):
            await source.report(report(following))
    assert "still busy after 0.3 s" in caplog.text
    free.set()
    await asyncio.to_thread(wait_until, lambda: not threads(), 5, "its end")


async def test_a_report_that_is_denied_does_not_end_the_following(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise RuntimeError("etcdserver: permission denied")

    place.put_now("g1", "1")
    async with following_of(place) as (source, following):
        monkeypatch.setattr(RawTransaction, "create", denied)
        with pytest.raises(FatalError, match="permission denied"):
            await source.report(report(following))
        place.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        assert following.events.count(Synced()) == 1
        assert following.outages == []


async def test_only_the_newest_report_of_a_document_is_kept(place: Place) -> None:
    class Slow(Config):
        def wait(self, watcher: Watcher) -> None:
            time.sleep(0.3)
            watcher.wait()

    place.put_now("g1", "1")
    async with following_of(place, lambda: Slow(place.server.url)) as (source, following):
        states = (State.OPEN, State.CLOSE, State.ON)
        await asyncio.gather(*(source.report(report(following, state=state)) for state in states))
        assert json.loads(str(place.read("g1", "state")))["state"] == "ON"


async def test_the_package_is_found_by_its_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("SDP_CONFIG_HOST", "127.0.0.1")
    monkeypatch.setenv("SDP_CONFIG_PORT", str(place.server.port))
    place.put_now("g1", "1")
    component = discover().registry.lookup(ComponentKind.CONFIG_SOURCE, "sdp")
    descriptor = SdpConfigSourceDescriptor(path=place.path)
    async with followed(component.factory(descriptor, ConfigContext(HOST))) as (_, following):
        assert following.documents == {"g1": "1"}


def test_without_the_package_the_error_names_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "ska_sdp_config", raising=False)
    component = discover().registry.lookup(ComponentKind.CONFIG_SOURCE, "sdp")
    with pytest.raises(ConfigError) as missing:
        component.factory(SdpConfigSourceDescriptor(path="/a"), ConfigContext(HOST))
    assert str(missing.value).startswith("type: ")
    assert "pip install ska-sdp-config" in str(missing.value)
    assert "type 'etcd'" in str(missing.value)
