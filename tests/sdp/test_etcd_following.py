"""Which documents etcd tells, and in which order."""

from __future__ import annotations

import asyncio
import json

import pytest

from queueconnector_core.config.protocol import ConfigUpdate
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.structure import read_json, structure
from queueconnector_core.testing.config_source import Following
from queueconnector_core.testing.watching import tasks
from queueconnector_sdp.texts import MAX_OCTETS
from tests.sdp.conftest import Place, connections_to

OWNER = '{"pid": 7, "hostname": "pod-1", "command": ["SDPQueueConnector", "01"]}'


async def test_a_change_arrives_within_a_moment(place: Place) -> None:
    async with place.followed() as (_, following):
        loop = asyncio.get_running_loop()
        delays = []
        for number in range(5):
            await place.put("g1", str(number))
            began = loop.time()
            await following.until_documents({"g1": str(number)})
            delays.append(loop.time() - began)
    assert min(delays) < 0.05


async def test_keys_that_are_not_direct_children_are_no_documents(place: Place) -> None:
    for names in (("g1", "deep"), ("state",), ("fault",)):
        place.server.put(place.key(*names), "{}")
    place.server.put(place.key() + "-sibling", "{}")
    place.server.put(f"{place.key()[:1]}{place.path}/", "{}")
    place.put_now("g1", "1")
    async with place.followed() as (_, following):
        place.server.put(place.key("g1", "state"), "{}")
        place.server.put(place.key("g2", "deep"), "{}")
        place.put_now("g2", "2")
        await following.until_documents({"g1": "1", "g2": "2"})
        assert len(following.updates) == 2


async def test_names_may_hold_anything_but_a_slash(place: Place) -> None:
    names = ("ü €😀", "kind:name:1.0", "a b", "'\"", "-n")
    for name in names:
        place.put_now(name, "1")
    async with place.followed() as (_, following):
        assert following.documents == dict.fromkeys(names, "1")


async def test_the_value_at_the_path_is_the_default_document(place: Place) -> None:
    place.put_now(None, '{"exchanges": []}')
    async with place.followed() as (_, following):
        assert following.documents == {"default": '{"exchanges": []}'}
        place.put_now(None, '"changed"')
        await following.until_documents({"default": '"changed"'})
        await place.delete(None)
        await following.until_documents({})


async def test_a_child_called_default_goes_before_the_value_at_the_path(place: Place) -> None:
    place.put_now(None, '"path"')
    async with place.followed() as (_, following):
        place.put_now("default", '"child"')
        await following.until_documents({"default": '"child"'})
        await place.delete("default")
        await following.until_documents({"default": '"path"'})


@pytest.mark.parametrize("mode", ["children", "value"])
async def test_an_owner_record_at_the_path_is_no_document(place: Place, mode: str) -> None:
    place.put_now(None, OWNER)
    async with place.followed(mode=mode) as (_, following):
        assert following.documents == {}
        place.put_now(None, '{"exchanges": null}')
        await following.until(lambda: list(following.documents.values()) == ['{"exchanges": null}'])
        place.put_now(None, OWNER)
        await following.until_documents({})


async def test_in_mode_value_children_are_no_documents(place: Place) -> None:
    place.put_now("g1", "1")
    place.put_now(None, "2")
    async with place.followed(mode="value") as (_, following):
        place.put_now("g1", "3")
        place.put_now(None, "4")
        await following.until_documents({None: "4"})
        assert {update.key for update in following.updates} == {None}


async def test_a_prefix_stands_before_the_path(place: Place) -> None:
    moved = Place(place.server, "/prefix" + place.path)
    moved.put_now("g1", "1")
    async with place.followed(global_prefix="/prefix") as (_, following):
        assert following.documents == {"g1": "1"}


async def test_versions_are_the_revisions_of_etcd(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (_, following):
        revision = place.server.details(place.key("g1"))["mod_revision"]
        assert following.updates == [ConfigUpdate("g1", "1", revision)]


async def test_what_was_made_again_is_told_as_deleted_and_then_new(place: Place) -> None:
    place.put_now("g1", "1")
    async with place.followed() as (_, following):
        await place.delete("g1")
        place.put_now("g1", "1")
        await following.until(lambda: len(following.updates) == 3)
        assert [update.text for update in following.updates] == ["1", None, "1"]


async def test_of_one_transaction_deletions_are_told_first(place: Place) -> None:
    place.put_now("a", "1")
    async with place.followed() as (_, following):
        place.server.txn((place.key("b"), "2"), (place.key("a"), None))
        await following.until_documents({"b": "2"})
        assert [(update.key, update.text) for update in following.updates[1:]] == [
            ("a", None),
            ("b", "2"),
        ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * (MAX_OCTETS + 1), "1048577 octets; at most 1048576 are read"),
        ("{}\udcff", "not UTF-8 text at octet 2"),
    ],
    ids=["too large", "no text"],
)
async def test_a_value_that_cannot_be_used_is_refused_by_core_with_the_reason(
    place: Place, value: str, reason: str
) -> None:
    place.put_now("g1", value)
    async with place.followed() as (_, following):
        text = following.documents["g1"]
        assert len(text) < 100
        with pytest.raises(ConfigError, match=reason):
            structure(read_json(text), discover().registry)
        place.put_now("g1", "{}")
        await following.until_documents({"g1": "{}"})


async def test_the_largest_document_that_is_allowed_passes(place: Place) -> None:
    text = json.dumps("x" * (MAX_OCTETS - 2))
    place.put_now("g1", text)
    async with place.followed() as (_, following):
        assert following.documents == {"g1": text}


async def test_many_large_documents_at_once(place: Place) -> None:
    texts = {f"g{n}": json.dumps(str(n) * 400_000) for n in range(6)}
    async with place.followed() as (_, following):
        for name, text in texts.items():
            place.put_now(name, text)
        await following.until(lambda: following.documents == texts)


async def test_closing_leaves_neither_a_task_nor_a_connection(place: Place) -> None:
    before = tasks()
    source = place.source()
    following = Following(source)
    await following.until_synced()
    assert connections_to(place.server.port) == 1

    await following.close()
    await source.stop()

    assert tasks() == before
    assert connections_to(place.server.port) == 0
