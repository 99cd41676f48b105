"""What is written back to etcd, when it is not, and when it vanishes."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from typing import Any

import pytest

from devservices.process import ManagedProcess, wait_until
from queueconnector_core.config.protocol import ConfigReport, Fault
from queueconnector_core.errors import RetryableError
from queueconnector_core.states import State
from queueconnector_core.testing.watching import tasks
from queueconnector_sdp._gateway import Gateway
from queueconnector_sdp.etcd_source import EtcdConfigSource
from queueconnector_sdp.reports import MAX_FAULT_OCTETS, fault_text
from tests.sdp.conftest import HOST, Place, report

FAULT = Fault("FatalError", "it broke", "g1", 2, 1_700_000_001.5, "9")


def state_of(place: Place, name: str | None = "g1") -> Any:
    text = place.read(name, "state")
    return None if text is None else json.loads(text)


async def test_the_state_stands_below_the_document(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        await source.report(report(following))
        assert state_of(place) == {
            "state": "ON",
            "since": "2023-11-14T22:13:20.000+00:00",
            "config_version": following.version("g1"),
            "device": HOST,
        }
        assert place.server.details(place.key("g1", "state"))["lease"] != "0"
        assert place.read("g1", "fault") is None


async def test_a_rejected_version_and_several_groups_are_shown(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        groups = {"g1.a": State.ON, "g1.b": State.FAULT}
        await source.report(
            report(following, state=State.FAULT, running="7", groups=groups, fault=FAULT)
        )
        found = state_of(place)
        assert found["config_version"] == "7"
        assert found["seen_version"] == following.version("g1")
        assert found["groups"] == {"g1.a": "ON", "g1.b": "FAULT"}
        await source.report(report(following, state=State.FAULT, running="", fault=FAULT))
        assert state_of(place)["config_version"] is None


async def test_a_fault_stays_after_the_end_and_goes_with_the_next_good_state(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        await source.report(report(following, state=State.FAULT, fault=FAULT))
    assert state_of(place) is None
    assert json.loads(str(place.read("g1", "fault"))) == {
        "type": "FatalError",
        "message": "it broke",
        "group": "g1",
        "exchange": 2,
        "time": "2023-11-14T22:13:21.500+00:00",
        "config_version": "9",
    }
    async with place.followed() as (source, following):
        await source.report(report(following))
        assert place.read("g1", "fault") is None


@pytest.mark.parametrize("message", ["x" * 50_000, "\n\x01é😀" * 5_000, "\ud83d" * 9_000])
def test_a_fault_is_never_longer_than_8_kib(message: str) -> None:
    text = fault_text(Fault("ConfigError", message, "g1"))
    assert MAX_FAULT_OCTETS * 0.8 < len(text.encode()) <= MAX_FAULT_OCTETS
    assert json.loads(text)["message"].endswith(" …")
    assert len(fault_text(Fault("T" * 9_000, message, "g1")).encode()) < 10_000


async def test_reports_are_not_taken_for_documents(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        for state in (State.OPEN, State.ON, State.FAULT):
            await source.report(report(following, state=state, fault=FAULT))
        place.put_now("last", "1")
        await following.until_documents({"g1": "1", "last": "1"})
        assert len(following.updates) == 2


async def test_a_report_about_a_former_version_is_dropped(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        former = report(following)
        place.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        await source.report(former)
        assert state_of(place) is None


async def test_a_report_is_dropped_by_the_database_when_we_do_not_know_better(
    place: Place,
) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        place.put_now("g1", "2")  # no turn of the loop: it has not arrived yet
        assert following.documents == {"g1": "1"}
        await source.report(report(following))
        assert state_of(place) is None


async def test_what_is_gone_has_no_reports(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        await source.report(report(following, state=State.FAULT, fault=FAULT))
        await place.delete("g1")
        await following.until_documents({})
        await source.report(report(following, state=None))
        assert place.server.get_prefix(place.key("g1", "x").removesuffix("x")) == {}


async def test_the_end_of_a_former_document_leaves_the_reports_of_the_new_one(
    place: Place,
) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        await place.delete("g1")
        place.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        await source.report(report(following))
        await source.report(report(following, state=None))
        assert state_of(place)["state"] == "ON"


@pytest.mark.parametrize(
    ("mode", "key", "names"),
    [("value", None, ("state",)), ("children", "default", ("default", "state"))],
)
async def test_the_report_about_the_value_at_the_path(
    place: Place, mode: str, key: str | None, names: tuple[str, ...]
) -> None:
    place.put_now(None, "1")
    async with place.followed(mode=mode) as (source, following):
        await source.report(report(following, key))
        assert json.loads(str(place.read(*names)))["state"] == "ON"
        place.put_now(None, "2")
        await following.until(lambda: following.documents == {key: "2"})


async def test_the_names_of_the_keys_can_be_chosen(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed(state_name="status", fault_name="error") as (source, following):
        await source.report(report(following, fault=FAULT))
        assert place.read("g1", "status") is not None
        assert place.read("g1", "error") is not None


async def test_a_state_that_somebody_else_wrote_is_replaced(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        for state in (State.OPEN, State.ON):
            place.server.put(place.key("g1", "state"), "foreign")
            await source.report(report(following, state=state))
            assert state_of(place)["state"] == state.value


async def test_a_write_whose_answer_did_not_come_cannot_undo_a_later_one(
    fragile: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write is held back, as by a server that is frozen, and happens after the second."""
    original = Gateway.call
    held: list[dict[str, Any]] = []

    async def lossy(gateway: Gateway, method: str, body: Any) -> Any:
        if "compare" in body and not held:
            held.append(body)
            raise RetryableError("no answer")
        return await original(gateway, method, body)

    monkeypatch.setattr(Gateway, "call", lossy)
    fragile.put_now("g1", "1")
    async with fragile.followed() as (source, following):
        with pytest.raises(RetryableError):
            await source.report(report(following, state=State.OPEN))
        await source.report(report(following, state=State.ON))
        late = await original(source._gateway, "kv/txn", held[0])
        assert "succeeded" not in late
        assert state_of(fragile)["state"] == "ON"


async def test_the_state_outlives_its_lease_time_as_long_as_we_live(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed(lease_ttl_s=2) as (source, following):
        await source.report(report(following))
        await asyncio.sleep(3.6)
        assert state_of(place)["state"] == "ON"


async def test_states_are_written_again_when_the_lease_was_lost(place: Place) -> None:
    for name in ("g1", "g2"):
        place.put_now(name, "1")
    async with place.followed(lease_ttl_s=2) as (source, following):
        await source.report(report(following, "g1"))
        await source.report(report(following, "g2", State.OPEN))
        lease = place.server.details(place.key("g1", "state"))["lease"]
        place.server.revoke(lease)
        assert state_of(place) is None
        await asyncio.to_thread(wait_until, lambda: state_of(place, "g2"), 5, "the state")
        assert state_of(place)["state"] == "ON"
        assert state_of(place, "g2")["state"] == "OPEN"
        # And by the next report, if that comes before.
        lease = place.server.details(place.key("g1", "state"))["lease"]
        place.server.revoke(lease)
        await source.report(report(following, "g1", State.CLOSE))
        assert state_of(place)["state"] == "CLOSE"


async def test_stop_withdraws_the_states_and_leaves_no_task(place: Place) -> None:
    before = tasks()
    place.put_now("g1", "1")
    async with place.followed() as (source, following):
        await source.report(report(following))
        assert len(tasks() - before) == 2
    assert state_of(place) is None
    assert tasks() == before
    await source.stop()


async def test_a_report_while_the_server_is_away_is_to_be_tried_again(fragile: Place) -> None:
    fragile.put_now("g1", "1")
    async with fragile.followed() as (source, following):
        fragile.server.kill()
        with pytest.raises(RetryableError, match="Connection refused"):
            await source.report(report(following))
        await asyncio.to_thread(fragile.server.start)
        await source.report(report(following))
        assert state_of(fragile)["state"] == "ON"


REPORTER = textwrap.dedent(
    """
    import asyncio, sys
    from queueconnector_core.config.protocol import ConfigContext, ConfigReport, ConfigUpdate
    from queueconnector_core.states import State
    from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
    from queueconnector_sdp.etcd_source import EtcdConfigSource

    async def main(url, path):
        descriptor = EtcdConfigSourceDescriptor(path=path, servers=(url,), lease_ttl_s=2)
        source = EtcdConfigSource(descriptor, ConfigContext("dies"))
        async for event in source.follow():
            if isinstance(event, ConfigUpdate):
                version = event.version
                await source.report(
                    ConfigReport(event.key, version, version, State.ON, since_s=0.0)
                )

    asyncio.run(main(*sys.argv[1:]))
    """
)


async def test_the_state_of_a_program_that_was_killed_vanishes(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place.put_now("g1", "1")
    process = ManagedProcess(
        "reporter",
        [sys.executable, "-c", REPORTER, place.server.url, place.path],
        log=tmp_path_factory.mktemp("reporter") / "log",
    )
    await asyncio.to_thread(process.wait_until, lambda: state_of(place), 20, "the state")
    process.kill()
    assert state_of(place)["device"] == "dies"
    await asyncio.to_thread(wait_until, lambda: state_of(place) is None, 8, "its end")


async def test_a_report_before_anything_was_told_is_dropped(place: Place) -> None:
    place.put_now("g1", "1")
    source: EtcdConfigSource = place.source()
    await source.report(ConfigReport("g1", "1", "1", State.ON, 0.0))
    await source.stop()
    assert state_of(place) is None
