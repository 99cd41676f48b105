"""Three members: one is killed, or frozen, and the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from devservices.etcd import EtcdServer, etcd_cluster
from devservices.process import wait_until
from tests.sdp.conftest import Place, report

QUICK = {"audit_s": 0.3, "timeout_s": 1.0}


@pytest.fixture(scope="module")
def members(etcd_is_here: None) -> Iterator[list[EtcdServer]]:  # noqa: ARG001
    with etcd_cluster() as members:
        yield members


@pytest.fixture
def others(members: list[EtcdServer]) -> Iterator[Place]:
    """A place that is altered through the second member."""
    yield Place(members[1])
    for member in members:
        if member.is_running:
            member.resume()
        member.start()


async def test_the_member_that_is_used_freezes(others: Place, members: list[EtcdServer]) -> None:
    urls = tuple(member.url for member in members)
    async with others.followed(servers=urls, **QUICK) as (source, following):
        assert source._gateway.server == members[0].url
        members[0].pause()
        await asyncio.to_thread(wait_until, lambda: written(others, "1"), 10, "a leader")
        await following.until_documents({"g1": "1"})
        await source.report(report(following))
        assert others.read("g1", "state") is not None


async def test_the_leader_is_killed(others: Place, members: list[EtcdServer]) -> None:
    urls = tuple(member.url for member in members)
    async with others.followed(servers=urls, **QUICK) as (_, following):
        leader = next(member for member in members if member.is_leader())
        others.server = next(member for member in members if member is not leader)
        leader.kill()
        await asyncio.to_thread(wait_until, lambda: written(others, "2"), 10, "a new leader")
        await following.until_documents({"g1": "2"})


async def test_a_first_server_that_is_not_there_is_passed_over(
    others: Place, members: list[EtcdServer]
) -> None:
    others.put_now("g1", "3")
    async with others.followed(servers=("127.0.0.1:1", members[2].url)) as (_, following):
        assert following.documents == {"g1": "3"}
        assert following.outages == []


def written(place: Place, text: str) -> bool:
    try:
        # A write without a leader is lost, and would be awaited for seconds.
        place.server.put(place.key("g1"), text, timeout_s=0.5)
    except Exception:  # noqa: BLE001 - there is no leader yet
        return False
    return True
