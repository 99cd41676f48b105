"""Logins and TLS: who is refused is told why, once, and never with a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devservices.certificates import Authority
from devservices.mosquitto import MosquittoServer
from queueconnector_core.states import State
from queueconnector_memory import store

from .conftest import Stream, until

WORD = "s3cret-word"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[MosquittoServer]:
    users, settings = {"alice": WORD}, ["require_certificate true"]
    with MosquittoServer("secure", users=users, authority=authority, settings=settings) as server:
        yield server


@pytest.fixture
def secure(server: MosquittoServer, authority: Authority, tmp_path: Path) -> dict[str, Any]:
    """The options of an end that is let in."""
    (tmp_path / "word").write_text(f"{WORD}\n")
    assert server.client is not None
    return {
        "host": server.host,
        "port": server.port,
        "user": "alice",
        "password_file": str(tmp_path / "word"),
        "tls": {
            "ca_file": str(authority.ca),
            "cert_file": str(server.client.cert),
            "key_file": str(server.client.key),
        },
    }


def ends(options: dict[str, Any], topic: str) -> tuple[dict[str, Any], dict[str, Any]]:
    source = {"type": "MqttSource", "topic_filter": topic} | options
    return source, {"type": "InMemorySink", "key": topic}


async def test_a_user_with_certificates_is_let_in(
    stream: Stream, server: MosquittoServer, secure: dict[str, Any], topic: str
) -> None:
    await stream.start(*ends(secure, topic), dtype="int64", shape=[5000])
    payload = f"[{', '.join(map(str, range(5000)))}]"
    for _ in range(3):
        server.publish(topic, payload, "-q", "1")

    found = await store.wait_for(topic, 3)

    assert all(record.value.tolist() == list(range(5000)) for record in found)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"user": "bob"}, "refuses this client"),
        ({"user": None, "password_file": None}, "refuses this client"),
        ({"tls": {}}, "its certificate is refused: "),
        ({"password_file": "/nowhere"}, "no password of user 'alice': password_file '/nowhere'"),
        ({"tls": {"ca_file": "/nowhere"}}, "ca_file: found '/nowhere': No such file"),
    ],
)
async def test_who_is_refused_is_in_fault_with_the_reason(
    stream: Stream, secure: dict[str, Any], topic: str, change: dict[str, Any], told: str
) -> None:
    await stream.start(*ends(secure | change, topic), on=False, dtype="int64")

    await until(lambda: stream.state is State.FAULT)

    assert told in stream.status
    assert WORD not in stream.status


async def test_tls_to_a_port_without_it_says_so(
    stream: Stream, mosquitto: MosquittoServer, secure: dict[str, Any], topic: str
) -> None:
    plain = secure | {"port": mosquitto.port, "keep_alive_s": 1}
    await stream.start(*ends(plain, topic), on=False, dtype="int64")

    await until(lambda: "TLS" in stream.status or "no MQTT broker" in stream.status)

    assert f"{mosquitto.host}:{mosquitto.port}" in stream.status
