"""The pages about watching a host name every route and every metric, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.metrics import metrics_of
from queueconnector_core.web.options import WebOptions
from queueconnector_core.web.server import WebServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/http.md").read_text("utf-8")
ASSETS = {"GET /page.css", "GET /page.mjs", "GET /icon.svg"}
"""They stand below the page that they belong to."""


def metric_names() -> set[str]:
    return {
        metric.name + ("_total" if metric.type == "counter" else "") for metric in metrics_of({})
    }


def test_every_route_has_a_heading_of_its_own() -> None:
    headings = re.findall(r"^## ((?:GET|POST) .*)$", PAGE, re.MULTILINE)
    server = WebServer(Connector(discover().registry), WebOptions(0))
    assert set(headings) | ASSETS == set(server.routes())
    assert len(headings) == len(set(headings))


def test_every_metric_is_described_with_its_type() -> None:
    described = re.findall(r"^\| `(queueconnector_\w+)` \| (counter|gauge) \|", PAGE, re.MULTILINE)
    assert {name for name, _ in described} == metric_names()
    assert all((kind == "counter") == name.endswith("_total") for name, kind in described)


def queries(document: Any) -> list[str]:
    """Every text of a dashboard that asks Prometheus for something."""
    if isinstance(document, dict):
        own = [document[key] for key in ("expr", "query") if isinstance(document.get(key), str)]
        return own + [text for member in document.values() for text in queries(member)]
    if isinstance(document, list):
        return [text for member in document for text in queries(member)]
    return []


def test_the_dashboard_asks_for_metrics_that_are_there_and_for_all_of_them() -> None:
    document = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text("utf-8"))
    asked = {name for text in queries(document) for name in re.findall(r"queueconnector_\w+", text)}
    assert asked == metric_names()


@pytest.mark.parametrize(
    "page", ["docs/how-to/watch.md", "README.md", "queueconnector_tango/README.md"]
)
def test_the_options_are_named_where_people_look(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert "web_port" in text
