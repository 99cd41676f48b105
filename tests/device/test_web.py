"""The device serves its status page in its own event loop, where its properties say so."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from devservices.process import free_port, wait_until
from tests.device.conftest import DEVICE, ConnectorServer, exchange

MakeServer = Callable[..., ConnectorServer]
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - for tests


def asked(port: int, path: str, method: str = "GET", token: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method)
    request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_device_serves_what_its_attributes_tell(make_server: MakeServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    properties = {"web_port": str(port), "web_token_file": str(tmp_path / "token")}
    server = make_server(properties={DEVICE: properties}).start()
    server.configure(exchange([float(n) for n in range(5000)], "served", delay=0.01))
    server.proxy().Start()
    server.wait_for_state("ON")

    _, status = asked(port, "api/status")
    assert (status["name"], status["state"]) == (DEVICE, "ON")
    told = json.loads(server.read("exchanges_statistics").value)["default[0]"]
    assert told["group"] == status["exchanges"][0]["group"] == "default"
    assert asked(port, "ready") == (200, {"ready": True, "reasons": []})

    path = "api/exchanges/default%5B0%5D/"
    assert asked(port, f"{path}pause", "POST")[0] == 401
    assert asked(port, f"{path}pause", "POST", TOKEN)[0] == 200
    wait_until(lambda: statistics(server)["paused"], 5, "the pause")
    assert asked(port, f"{path}restart", "POST", TOKEN)[0] == 200
    server.wait_for_state("ON")
    assert asked(port, "api/groups/default/stop", "POST", TOKEN)[0] == 200
    server.wait_for_state("OFF")

    server.proxy().Init()
    server.wait_for_state("STANDBY")
    assert asked(port, "live") == (200, {"live": True}), "the port was free for itself again"


def statistics(server: ConnectorServer) -> Any:
    return json.loads(server.read("exchanges_statistics").value)["default[0]"]


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"web_port": "eighty"}, "web_port: found 'eighty'"),
        ({"web_port": "0", "web_host": "192.0.2.1"}, "web_port: cannot serve at 192.0.2.1:0"),
        ({"web_port": "0", "web_token_file": "/not/there"}, "web_token_file: no token"),
    ],
    ids=["port", "host", "token"],
)
def test_a_page_that_cannot_be_served_is_told(
    make_server: MakeServer, properties: dict[str, str], told: str
) -> None:
    server = make_server(properties={DEVICE: properties}).start()
    server.wait_for_state("FAULT")
    assert told in server.proxy().status()
