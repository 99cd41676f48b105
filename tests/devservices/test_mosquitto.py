"""A real Mosquitto starts, serves, keeps what it retains over a stop, and guards its door."""

from __future__ import annotations

from pathlib import Path

import pytest

from devservices import ServiceFailed, ServiceUnavailable
from devservices.certificates import Authority
from devservices.mosquitto import MosquittoServer
from devservices.process import is_listening


def test_what_is_retained_outlives_a_stop_and_not_a_kill() -> None:
    with MosquittoServer() as server:
        server.publish("a/kept", "one", "-r")
        server.restart()
        assert server.retained("a/#", "-v") == "a/kept one\n"
        server.publish("a/kept", "two", "-r")
        server.kill()
        server.start()
        assert server.retained("a/#") == "one\n"
    assert not is_listening(server.port)


def test_users_and_tls_guard_it(tmp_path: Path) -> None:
    with MosquittoServer(users={"alice": "secret"}, authority=Authority(tmp_path)) as server:
        server.publish("a", "1", "-r", "-q", "1")
        with pytest.raises(ServiceFailed, match="not authorised"):
            server.publish("a", "2", "-P", "wrong")
        server.ca = None
        with pytest.raises(ServiceFailed):
            server.publish("a", "2")


def test_a_wrong_setting_is_reported() -> None:
    with pytest.raises(ServiceFailed, match="no_such_setting"):
        MosquittoServer(settings=["no_such_setting 1"]).start()


def test_without_it_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("devservices.mosquitto.SYSTEM_PATH", "")
    with pytest.raises(ServiceUnavailable, match="apt-get install mosquitto"):
        MosquittoServer.check()
