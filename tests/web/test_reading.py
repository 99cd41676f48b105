"""What a host tells over HTTP: health, metrics, status, gaps, configuration, history."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from queueconnector_core.gaps import Gap, GapReason
from queueconnector_core.metrics import CONTENT_TYPE
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import until
from queueconnector_core.web import history as history_module
from queueconnector_core.web.history import History
from tests.web.conftest import Serving, streaming

SPECTRUM: dict[str, Any] = {"dtype": "float64", "shape": [4], "pipe": {"type": "DefaultPipe"}}


def away(tmp_path: Path) -> dict[str, Any]:
    source = {"type": "FileSource", "path": str(tmp_path / "not-there")}
    return {"source": source, "sink": {"type": "InMemorySink", "key": "lines"}}


async def test_a_host_that_answers_is_live_and_ready(site: Serving) -> None:
    host = await site()
    assert await host.get("live") == {"live": True}
    assert await host.get("ready") == {"ready": True, "reasons": []}


async def test_a_host_whose_far_end_is_away_is_live_and_says_why_it_is_not_ready(
    site: Serving, tmp_path: Path
) -> None:
    host = await site(gone=[away(tmp_path)])
    await until(host.connector.ailments)

    code, text, _ = await host.ask("ready")

    assert code == 503
    assert "gone[0]: waits for" in text
    assert "not-there: No such file" in text
    assert "group gone is OPEN" in text
    assert (await host.ask("live"))[0] == 200


async def test_a_host_that_cannot_use_its_properties_is_not_ready(site: Serving) -> None:
    host = await site()
    host.connector.trouble = "The device properties cannot be used: …"
    code, text, _ = await host.ask("ready")
    assert (code, host.connector.trouble in text) == (503, True)
    status = await host.get("api/status")
    assert (status["state"], status["healthy"]) == ("FAULT", False)


async def test_metrics_are_those_of_the_statistics_in_the_format_of_prometheus(
    site: Serving, tmp_path: Path
) -> None:
    host = await site(a=[streaming("metrics", [1, 2, 3])], gone=[away(tmp_path)])
    await until(lambda: host.connector.statistics()["a[0]"]["delivered"] == 3)
    await until(host.connector.ailments)

    _, text, answer = await host.ask("metrics")

    assert answer.headers["Content-Type"] == CONTENT_TYPE
    families = list(text_string_to_metric_families(text))
    found = {
        (sample.name, sample.labels["group"], sample.labels["exchange"]): sample.value
        for family in families
        for sample in family.samples
    }
    told = host.connector.statistics()["a[0]"]
    counters = ("received", "delivered", "dropped", "dead_lettered")
    for name in counters:
        assert found[f"queueconnector_records_{name}_total", "a", "a[0]"] == told[name]
    assert found["queueconnector_flight_seconds_total", "a", "a[0]"] == told["flight_s"]
    assert found["queueconnector_healthy", "a", "a[0]"] == 1
    assert found["queueconnector_healthy", "gone", "gone[0]"] == 0
    assert found["queueconnector_waiting_seconds", "gone", "gone[0]"] > 0
    assert told["lag"] is None
    assert not [key for key in found if key[0] == "queueconnector_lag_records"], "nobody knows it"
    for family in families:
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge"}
        is_total = {sample.name.endswith("_total") for sample in family.samples}
        assert is_total <= {family.type == "counter"}, "one that nobody knows has no samples"


async def test_the_status_tells_the_way_of_the_records(site: Serving) -> None:
    exchange = streaming("way", [[1, 2, 3, 4]], **SPECTRUM)
    host = await site(start=False, cbf=[exchange])

    status = await host.get("api/status")

    assert status["name"] == "test/connector/1"
    assert (status["state"], status["healthy"], status["controls"]) == ("OFF", True, False)
    assert status["groups"][0] | {"restart_at_s": 0} == {
        "name": "cbf",
        "state": "OFF",
        "fault": None,
        "restarts": 0,
        "restart_at_s": 0,
        "exchanges": ["cbf[0]"],
    }
    (told,) = status["exchanges"]
    spec = {"dtype": "float64", "shape": [4]}
    source = {"stage": "source", "type": "InMemorySource", "options": {"data": [[1, 2, 3, 4]]}}
    assert told["sources"] == [source | spec]
    assert told["pipes"] == [{"stage": "pipe", "type": "DefaultPipe", "options": {}} | spec]
    sink = {"stage": "sink", "type": "InMemorySink", "options": {"key": "way"}}
    assert told["sinks"] == [sink | spec]
    balance = ("received", "delivered", "in_flight", "gaps", "paused", "unhealthy", "last_failure")
    assert {name: told[name] for name in balance} == dict.fromkeys(balance, 0) | {
        "paused": False, "unhealthy": None, "last_failure": None,
    }  # fmt: skip


async def test_the_status_tells_a_fault(site: Serving) -> None:
    full = streaming("full", [1] * 2000)
    full["sink"] |= {"max_records": 1}
    host = await site(a=[full])
    await until(lambda: host.connector.state is State.FAULT)
    status = await host.get("api/status")
    assert "the store 'full' is full" in status["groups"][0]["fault"]
    assert "the store 'full' is full" in status["exchanges"][0]["last_failure"]
    assert status["exchanges"][0]["last_failure_s"] == pytest.approx(time.time(), abs=60)
    assert status["exchanges"][0]["unhealthy"]


async def test_long_options_are_cut(site: Serving) -> None:
    host = await site(start=False, a=[streaming("long", list(range(100)))])
    (told,) = (await host.get("api/status"))["exchanges"]
    data = told["sources"][0]["options"]["data"]
    assert data == [*range(32), "… 68 more"]


async def test_gaps_are_those_of_the_ledger(site: Serving) -> None:
    host = await site(start=False, a=[streaming("gaps", [])])
    ledger = host.connector.exchanges[0].gaps
    ledger.add(Gap("far", GapReason.RETENTION, 1, 2, 7, is_exact=True, text="deleted"))
    assert await host.get("api/gaps") == host.connector.gaps()
    assert (await host.get("api/gaps"))[0]["records"] == 7


async def test_the_configuration_tells_what_differs_from_the_defaults(site: Serving) -> None:
    host = await site(start=False, a=[streaming("configured", [1], health_limit_s=3)])
    told = await host.get("api/configuration")
    (exchange,) = told["groups"]["a"]
    assert exchange["sinks"][0]["options"] == {"key": "configured"}
    assert (exchange["health_limit_s"], exchange["errors"]) == (3, {})
    assert "1 exchanges new" in told["documents"][0]["result"]


async def test_the_history_tells_rates_and_latency(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "STEP_S", 1)
    host = await site(a=[streaming("history", list(range(3_000)), 0.002)])

    async with asyncio.timeout(15):
        while len((told := await host.get("api/history?exchange=a%5B0%5D"))["time_s"]) < 4:
            await asyncio.sleep(0.1)

    assert told["exchange"] == "a[0]"
    assert told["time_s"] == sorted(told["time_s"])
    assert all(rate > 1 for rate in told["delivered_hz"][-2:])
    assert all(0 < latency < 1 for latency in told["latency_s"][-2:])
    together = await host.get("api/history")
    assert together["delivered_hz"][-1] == pytest.approx(told["delivered_hz"][-1], rel=0.9)
    code, text, _ = await host.ask("api/history?exchange=nobody")
    assert (code, text) == (404, """{"error":"there is no exchange 'nobody'"}""")


def test_the_history_is_a_ring_of_an_hour() -> None:
    assert history_module.POINTS * history_module.STEP_S == 3600
    history = History()
    for _ in range((history_module.POINTS + 10) * history_module.STEP_S):
        history.sample([])
    told = history.report()
    assert len(told["time_s"]) == history_module.POINTS
    assert told["time_s"] == sorted(told["time_s"])


async def test_the_page_is_served_from_the_package(site: Serving) -> None:
    host = await site()
    kinds = {
        "": "text/html", "page.css": "text/css", "page.mjs": "text/javascript",
        "icon.svg": "image/svg+xml",
    }  # fmt: skip
    for path, kind in kinds.items():
        code, text, answer = await host.ask(path)
        assert (code, answer.content_type) == (200, kind)
        assert text
        assert "://" not in text.replace("http://www.w3.org/", ""), "nothing from elsewhere"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
