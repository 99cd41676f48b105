"""What the token allows: one exchange, or one group, is told what to do."""

from __future__ import annotations

from queueconnector_core.states import State
from queueconnector_core.testing.doubles import until
from tests.web.conftest import Serving, streaming

ENDLESS = list(range(5_000))


async def test_one_exchange_is_paused_and_resumed(site: Serving, token_file: str) -> None:
    exchanges = [streaming(key, ENDLESS, 0.001) for key in ("left", "right")]
    host = await site(token=token_file, a=exchanges)
    left, right = host.connector.exchanges
    await until(lambda: left.statistics.delivered)

    assert await host.post("api/exchanges/a%5B0%5D/pause") == (
        200,
        {"exchange": "a[0]", "paused": True, "state": "ON"},
    )
    await until(lambda: not left.statistics.in_flight)
    stood, went = left.statistics.delivered, right.statistics.delivered
    await until(lambda: right.statistics.delivered > went + 10)
    assert left.statistics.delivered == stood
    told = await host.get("api/status")
    assert [one["paused"] for one in told["exchanges"]] == [True, False]
    assert (await host.get("ready"))["ready"], "it does what it was told"
    assert (await host.post("api/exchanges/a%5B0%5D/resume"))[0] == 200
    await until(lambda: left.statistics.delivered > stood)


async def test_one_exchange_is_restarted(site: Serving, token_file: str) -> None:
    host = await site(token=token_file, a=[streaming("again", ENDLESS, 0.001)])
    group = host.connector.groups["a"]
    await until(lambda: group.state is State.ON)
    code, told = await host.post("api/exchanges/a%5B0%5D/restart")
    assert (code, told["paused"]) == (200, False)
    await until(lambda: group.state is State.OPEN)
    await until(lambda: group.state is State.ON)


async def test_one_group_is_stopped_started_and_reset(site: Serving, token_file: str) -> None:
    full = streaming("over", [1] * 2000)
    full["sink"] |= {"max_records": 1}
    host = await site(token=token_file, a=[streaming("x", ENDLESS, 0.001)], b=[full])
    a, b = host.connector.groups["a"], host.connector.groups["b"]
    await until(lambda: b.state is State.FAULT)

    assert (await host.post("api/groups/a/stop"))[0] == 200
    await until(lambda: a.state is State.OFF)
    assert (await host.post("api/groups/a/start"))[0] == 200
    await until(lambda: a.state is State.ON)
    assert (await host.post("api/groups/b/reset"))[0] == 200
    assert b.state is State.OFF


async def test_what_the_state_does_not_allow_is_a_conflict(site: Serving, token_file: str) -> None:
    host = await site(start=False, token=token_file, a=[streaming("x", [1])])
    code, told = await host.post("api/exchanges/a%5B0%5D/pause")
    assert code == 409
    assert told["error"].startswith("Pause of a[0] is not allowed in state OFF of group a")
    code, told = await host.post("api/groups/a/stop")
    assert (code, "allowed: Configure, Standby, Start" in told["error"]) == (409, True)


async def test_what_is_not_there_is_not_found(site: Serving, token_file: str) -> None:
    host = await site(token=token_file)
    assert (await host.post("api/exchanges/a%5B0%5D/pause"))[0] == 404
    assert (await host.post("api/groups/a/stop"))[0] == 404
    assert (await host.post("api/groups/a/destroy"))[0] == 404


async def test_a_group_whose_name_has_a_slash_is_found(site: Serving, token_file: str) -> None:
    host = await site(token=token_file, **{"tm/low": [streaming("slash", ENDLESS, 0.001)]})
    await until(lambda: host.connector.state is State.ON)
    assert (await host.post("api/exchanges/tm%2Flow%5B0%5D/pause"))[0] == 200
    assert (await host.post("api/groups/tm%2Flow/stop"))[0] == 200
