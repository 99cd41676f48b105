"""The pages about watching a host name every route and every metric, and no other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devservices.process import free_port
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.metrics import metrics_of
from queueconnector_core.web.options import WebOptions
from queueconnector_core.web.server import WebServer
from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/http.md").read_text("utf-8")
ASSETS = {f"GET /{name}" for name in ("page.css", "page.mjs", "icon.svg")} | {
    "GET /uPlot.iife.min.js",
    "GET /uPlot.min.css",
}
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


@pytest.mark.parametrize("page", ["docs/how-to/watch.md", "README.md", "docs/reference/device.md"])
def test_the_options_are_named_where_people_look(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert "web_port" in text


# The lines of the page, as an operator types them


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration that streams for a while, and the token of the page."""
    exchange = {
        "dtype": "object",
        "source": {"type": "InMemorySource", "data": [{"offsets": [1]}] * 5000, "delay": 0.02},
        "sink": {"type": "InMemorySink", "key": "watched"},
    }
    (tmp_path / "configuration.json").write_text(json.dumps({"exchanges": [exchange]}))
    return tmp_path


def test_the_lines_of_the_page_do_what_it_says(folder: Path) -> None:
    port = free_port()
    lines = [
        line.replace("8080", str(port))
        for block in blocks("docs/how-to/watch.md", "sh")
        for line in block.splitlines()
    ]
    asking = [line for line in lines if line.startswith(("queueconnector t", "curl"))]
    assert len(asking) == 6
    (token,) = (line for line in lines if line.startswith("head"))
    shell(token, folder)
    (running,) = (line for line in lines if "--web-token-file" in line)
    with subprocess.Popen(
        ["bash", "-c", f"exec {running}"], cwd=folder, env=PATH, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "default[0] ON" in line)
        shown = [shell(ended(line), folder) for line in asking]
        process.terminate()
    table, again, records, selected, with_token, paused = shown
    for told in (table, again, with_token):
        assert "default[0]" in told
    assert len(records.splitlines()) == 10
    assert json.loads(selected)["value"] == 1
    assert json.loads(paused)["paused"] is True


def ended(line: str) -> str:
    """A line that would go on for ever, with an end."""
    if " top " in line and "--once" not in line:
        return f"{line} --once"
    return f"{line} --limit 1" if " tap " in line and "--limit" not in line else line


PATH = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euc", line], cwd=folder, env={**PATH, "no_proxy": "127.0.0.1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout
