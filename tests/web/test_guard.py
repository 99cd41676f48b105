"""Who may ask a host, who may change it, and how much of it anybody can take."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.web import guard, server, tapping
from queueconnector_core.web.options import WebOptions, serve
from queueconnector_core.web.overview import masked
from tests.web.conftest import TOKEN, Serving, Site, streaming

PAUSE = "api/exchanges/a%5B0%5D/pause"
ENDLESS = list(range(5_000))


async def test_without_a_token_file_nobody_changes_anything(site: Serving) -> None:
    host = await site(a=[streaming("guarded", ENDLESS, 0.01)])
    code, text, _ = await host.ask(PAUSE, "POST", Authorization=f"Bearer {TOKEN}")
    assert code == 403
    assert "read only: set web_token_file" in text
    assert not host.connector.exchanges[0].is_paused


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
async def test_a_wrong_token_changes_nothing(
    site: Serving, token_file: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "WRONG_TOKEN_S", 0.01)
    host = await site(token=token_file, a=[streaming("guarded", ENDLESS, 0.01)])
    code, text, _ = await host.ask(PAUSE, "POST", Authorization=sent)
    assert code == 401
    assert TOKEN not in text
    assert not host.connector.exchanges[0].is_paused


async def test_reading_needs_no_token(site: Serving, token_file: str) -> None:
    host = await site(token=token_file)
    assert (await host.get("api/status"))["controls"] is True


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("127.0.0.1", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200), ("localhost:9", 200)),
        *((socket.gethostname(), 200), ("10.1.2.3:8080", 200)),
        *(
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:1", 421),
        ),
    ],
)
async def test_a_name_that_is_not_ours_is_refused(site: Serving, name: str, code: int) -> None:
    host = await site()
    found, text, _ = await host.ask("api/status", Host=name)
    assert found == code, text


async def test_what_is_not_there_is_told_as_json_with_all_headers(site: Serving) -> None:
    host = await site()
    for path, method in (("nothing", "GET"), ("api/status", "DELETE"), ("api/groups/a/x", "POST")):
        code, text, answer = await host.ask(path, method)
        assert code in {403, 404}
        assert set(json.loads(text)) == {"error"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "queueconnector"


async def test_requests_beyond_the_limit_are_told_to_come_back(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_REQUESTS", 1)
    host = await site(a=[streaming("limited", ENDLESS, 0.01)])
    async with host.client.get(f"{host.address}api/exchanges/a%5B0%5D/tap"):
        code, text, answer = await host.ask("api/status")
    assert (code, answer.headers["Retry-After"]) == (503, "1")
    assert "too many requests" in text


async def test_views_beyond_the_limit_are_refused(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapping, "MAX_VIEWERS", 1)
    host = await site(a=[streaming("limited", ENDLESS, 0.01)])
    async with host.client.get(f"{host.address}api/exchanges/a%5B0%5D/tap"):
        code, text, _ = await host.ask("api/exchanges/a%5B0%5D/tap?limit=1")
    assert code == 503
    assert "1 look already" in text


@contextmanager
def connected(host: Site) -> Iterator[socket.socket]:
    parts = urlsplit(host.address)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        yield connection


async def test_connections_beyond_the_limit_are_closed(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    host = await site()
    ask = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(host) as first:
        for _ in range(2):
            first.sendall(ask)
            assert (await asyncio.to_thread(first.recv, 4096)).startswith(b"HTTP/1.1 200")
            with connected(host) as second:
                assert await asyncio.to_thread(second.recv, 1) == b""


async def test_a_connection_that_says_nothing_is_closed(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENT_S", 0.05)
    host = await site()
    with connected(host) as silent:
        silent.sendall(b"GET /live HTT")
        assert await asyncio.to_thread(silent.recv, 1) == b""


@pytest.mark.parametrize("octets", [b"\x00\xff" * 500, b"GET / HTTP/1.1\r\n\r\n", b"PRI *\r\n\r\n"])
async def test_what_is_no_request_is_refused(site: Serving, octets: bytes) -> None:
    host = await site()
    with connected(host) as connection:
        connection.sendall(octets)
        assert (await asyncio.to_thread(connection.recv, 12)).startswith(b"HTTP/1.")
    assert (await host.ask("live"))[0] == 200


# Secrets


async def test_secrets_are_shown_nowhere(
    site: Serving, token_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2-of-the-broker")
    (tmp_path / "password").write_text("hunter3-of-the-broker")
    login = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "user": "me"}
    places = ({"password_env": "BROKER_PASSWORD"}, {"password_file": str(tmp_path / "password")})
    sources = [
        {
            "type": "KafkaConsumerSource", "servers": "127.0.0.1:1", "topic": "t",
            "encoding": "json", "security": login | place,
        }
        for place in places
    ]  # fmt: skip
    sink = {"type": "InMemorySink", "key": "secret"}
    host = await site(token=token_file, a=[{"source": sources, "sink": sink}])
    paths = ("", "live", "ready", "metrics", *(f"api/{name}" for name in READS))
    shown = "".join([(await host.ask(path))[1] for path in paths])
    assert "BROKER_PASSWORD" in shown, "where it is, is shown"
    assert "hunter" not in shown
    assert TOKEN not in shown


READS = ("status", "gaps", "configuration", "history")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ({"password": "x", "password_env": "X"}, {"password": "***", "password_env": "X"}),
        ({"settings": {"api_token": 5}}, {"settings": {"api_token": "***"}}),
        ({"secrets": ["a", "b"]}, {"secrets": "***"}),
        ({"password": None}, {"password": None}),
        ({"url": "amqp://me:pass@host/a@b"}, {"url": "amqp://***@host/a@b"}),
        ({"client_secret_file": "/run/x"}, {"client_secret_file": "/run/x"}),
    ],
)
def test_what_looks_like_a_secret_is_masked(written: object, shown: object) -> None:
    assert masked(written) == shown


# Options


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1.5", "²"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="web_port: found"):
        WebOptions.read(port, "", "")


def test_no_port_is_no_page() -> None:
    assert WebOptions.read(" ", "::", "") is None
    assert WebOptions.read("0", " ", " ") == WebOptions(0, "127.0.0.1", "")


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), ("", "is empty"), ("short", "fewer than 16 characters")],
)
async def test_a_token_that_cannot_be_used_is_refused(
    tmp_path: Path, content: str | None, told: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    connector = Connector(discover().registry)
    with pytest.raises(ConfigError, match=rf"web_token_file: .*{told}"):
        await serve(connector, WebOptions(0, token_file=str(path)))


async def test_an_address_that_cannot_be_had_is_refused_and_one_that_is_left_is_free() -> None:
    connector = Connector(discover().registry)
    with pytest.raises(ConfigError, match=r"web_port: cannot serve at 192\.0\.2\.1:0"):
        await serve(connector, WebOptions(0, "192.0.2.1"))
    first = await serve(connector, WebOptions(0))
    port = urlsplit(first.address).port
    assert port is not None
    with pytest.raises(ConfigError, match="choose another port"):
        await serve(connector, WebOptions(port))
    await first.close()
    await first.close()
    again = await serve(connector, WebOptions(port))
    await again.close()


def test_nothing_of_it_is_loaded_before_it_is_served() -> None:
    code = (
        "import sys, queueconnector_core.cli.app, queueconnector_tango.session\n"
        "print([name for name in ('aiohttp', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
