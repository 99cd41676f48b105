"""Servers that are killed, frozen and wiped: in the end everything is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from queueconnector_core.config.protocol import Synced, Unavailable
from queueconnector_core.errors import RetryableError
from queueconnector_core.testing.config_source import Following
from queueconnector_sdp import watch
from queueconnector_sdp._gateway import Gateway
from queueconnector_sdp.layout import Layout
from tests.sdp.conftest import Place, report, until_tried

QUICK = {"audit_s": 0.3, "timeout_s": 0.5}


async def test_what_is_written_just_after_a_crash_arrives(fragile: Place) -> None:
    for name in ("stays", "changes", "goes"):
        fragile.put_now(name, "1")
    async with fragile.followed() as (_, following):
        fragile.server.kill()
        await asyncio.to_thread(fragile.server.start)
        fragile.put_now("changes", "2")
        await fragile.delete("goes")
        fragile.put_now("comes", "3")
        await following.until_documents({"stays": "1", "changes": "2", "comes": "3"})
        assert [update.text for update in following.updates if update.key == "stays"] == ["1"]


async def test_an_outage_is_told_once_and_its_end_too(fragile: Place) -> None:
    async with fragile.followed() as (source, following):
        fragile.server.kill()
        await until_tried(source, 4)
        (outage,) = following.outages
        assert not outage.refused
        assert outage.reason == f"configuration database {fragile.server.url}: Connection refused"
        await asyncio.to_thread(fragile.server.start)
        await following.until_synced(2)
        assert following.events == [Synced(), outage, Synced()]


async def test_a_server_that_is_not_there_yet_is_awaited(fragile: Place) -> None:
    fragile.server.kill()
    source = fragile.source()
    following = Following(source)
    await following.until(lambda: following.outages)
    await asyncio.to_thread(fragile.server.start)
    fragile.put_now("g1", "1")
    await following.until_synced()
    await following.until_documents({"g1": "1"})
    assert isinstance(following.events[0], Unavailable)
    await following.close()
    await source.stop()


async def surely_away(place: Place, alter: Callable[[], None]) -> Following:
    """Follow, lose the server, `alter` it in a way that cannot be watched, and come back."""
    source = place.source()
    following = Following(source)
    await following.until_synced()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "FIRST_WAIT_S", 2.0)
        patch.setattr(watch, "LONGEST_WAIT_S", 2.0)
        source._follower._backoff.reset()
        place.server.kill()
        await asyncio.to_thread(place.server.start)
        await asyncio.to_thread(alter)
        assert not following.outages
        await following.until(lambda: following.documents.get("last") == "1")
    await following.close()
    await source.stop()
    return following


@pytest.mark.parametrize("compacted", [False, True])
async def test_what_happened_while_we_were_away_is_found(fragile: Place, compacted: bool) -> None:
    for name in ("changes", "goes", "remade"):
        fragile.put_now(name, "1")

    def alter() -> None:
        server, key = fragile.server, fragile.key
        server.txn((key("changes"), "2"), (key("goes"), None), (key("remade"), None))
        server.txn((key("changes"), "3"), (key("remade"), "1"), (key("brief"), "1"))
        server.delete(key("brief"))
        if compacted:
            server.compact()
        server.put(key("last"), "1")

    following = await surely_away(fragile, alter)

    told = [(update.key, update.text) for update in following.updates[3:]]
    assert set(told[:2]) == {("goes", None), ("remade", None)}
    assert told[2:] == [("changes", "3"), ("remade", "1"), ("last", "1")] or set(told[2:]) == {
        ("changes", "3"),
        ("remade", "1"),
        ("last", "1"),
    }
    assert {update.grace_s for update in following.updates} == {0.0}


async def test_a_compaction_between_list_and_watch_leads_to_a_second_list(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only way to hit that moment is to come in between."""
    original: Any = Gateway.watch
    starts: list[int] = []

    def in_between(gateway: Gateway, ranges: Any, revision: int) -> Any:
        if not starts:
            for text in ("2", "3"):
                place.put_now("g1", text)
            place.server.compact()
        starts.append(revision)
        return original(gateway, ranges, revision)

    place.put_now("g1", "1")
    monkeypatch.setattr(Gateway, "watch", in_between)
    async with place.followed() as (_, following):
        await following.until_documents({"g1": "3"})
        assert len(starts) == 2
        assert following.outages == []


async def test_a_frozen_server_is_noticed_and_nothing_is_missed(fragile: Place) -> None:
    fragile.put_now("g1", "1")
    async with fragile.followed(**QUICK) as (source, following):
        fragile.server.pause()
        (outage,) = await following.until(lambda: following.outages, 5)
        assert "no answer within 0.5 s" in outage.reason
        with pytest.raises(RetryableError, match="no answer"):
            await source.report(report(following))
        fragile.server.resume()
        fragile.put_now("g1", "2")
        await following.until_synced(2)
        await following.until_documents({"g1": "2"})


async def test_a_watch_that_is_deaf_is_found_by_the_audit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as of a member that is cut off; here the watch is one of other keys."""
    original: Any = Gateway.watch
    elsewhere = Place(place.server)
    deaf = [True]

    def watch_elsewhere(gateway: Gateway, ranges: Any, revision: int) -> Any:
        if deaf.pop() if deaf else False:
            ranges = Layout(elsewhere.descriptor()).ranges
        return original(gateway, ranges, revision)

    monkeypatch.setattr(Gateway, "watch", watch_elsewhere)
    monkeypatch.setattr(watch, "SETTLE_S", 0.2)
    async with place.followed(**QUICK) as (_, following):
        place.put_now("g1", "1")
        await following.until_documents({"g1": "1"})
        assert following.synced == 1


async def test_a_database_that_lost_its_content_gives_a_time_of_grace(fragile: Place) -> None:
    for name in ("g1", "g2", "g3"):
        fragile.put_now(name, "1")
    async with fragile.followed(reset_grace_s=12) as (_, following):
        await asyncio.to_thread(fragile.server.wipe)
        fragile.put_now("g1", "1")
        await following.until(lambda: following.documents.keys() == {"g1"})
        later = following.updates[3:]
        deletions = [update for update in later if update.text is None]
        assert {update.key for update in deletions} >= {"g2", "g3"}
        assert {update.grace_s for update in deletions} == {12.0}
        fragile.put_now("g2", "2")
        await following.until_documents({"g1": "1", "g2": "2"})


async def test_content_that_is_back_at_once_only_has_another_version(fragile: Place) -> None:
    fragile.server.put("other", "1")
    fragile.put_now("g1", "1")
    fragile.put_now("g1", "1")

    following = Following(source := fragile.source())
    await following.until_synced()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "FIRST_WAIT_S", 2.0)
        source._follower._backoff.reset()
        await asyncio.to_thread(fragile.server.wipe)
        fragile.put_now("g1", "1")
        await following.until(lambda: len(following.updates) == 2)
    assert [update.text for update in following.updates] == ["1", "1"]
    assert following.version("g1") == "2"
    await following.close()
    await source.stop()


async def test_random_crashes_under_a_busy_writer(fragile: Place) -> None:
    """Whatever is left out in between, the end is the database's."""
    generator = random.Random(7)  # noqa: S311 - it only has to be various
    stopped = asyncio.Event()

    async def write() -> int:
        written = 0
        while not stopped.is_set():
            name = f"g{generator.randrange(6)}"
            try:
                if generator.random() < 0.2:
                    await fragile.delete(name)
                else:
                    await fragile.put(name, str(written))
                written += 1
            except Exception:  # noqa: BLE001 - the server is away just now
                await asyncio.sleep(0.05)
        return written

    async with fragile.followed(**QUICK) as (_, following):
        writer = asyncio.create_task(write())
        for _ in range(3):
            await asyncio.sleep(generator.uniform(0.2, 0.8))
            fragile.server.kill()
            await asyncio.to_thread(fragile.server.start)
        await asyncio.sleep(0.3)
        stopped.set()
        assert await writer > 10
        fragile.put_now("last", "1")
        content = fragile.server.get_prefix(fragile.key("g").removesuffix("g"))
        expected = {key.rpartition("/")[2]: value for key, value in content.items()}
        await following.until(lambda: following.documents == expected)


async def test_closing_during_an_outage_ends_at_once(fragile: Place) -> None:
    following = Following(source := fragile.source())
    await following.until_synced()
    fragile.server.kill()
    await following.until(lambda: following.outages)
    async with asyncio.timeout(1):
        await following.close()
        await source.stop()
