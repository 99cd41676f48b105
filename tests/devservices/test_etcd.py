"""A real etcd starts, serves, keeps its data over a stop and a crash, and can lose it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devservices import ServiceFailed, ServiceUnavailable
from devservices.etcd import EtcdServer, etcd_cluster
from devservices.process import is_listening, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with EtcdServer() as server:
        yield server
    assert not server.is_running
    assert not is_listening(server.port)


def test_keys_are_written_read_and_deleted(server: EtcdServer) -> None:
    server.put("a/1", "one")
    server.txn(("a/2", "two"), ("a/3", "three"), ("a/0", None))
    server.delete("a/3")
    assert server.get("a/1") == "one"
    assert server.get("a") is None
    assert server.get_prefix("a/") == {"a/1": "one", "a/2": "two"}
    assert server.details("a/2")["create_revision"] == str(server.revision() - 1)


def test_a_compaction_forgets_former_revisions(server: EtcdServer) -> None:
    server.put("c", "1")
    before = server.revision()
    server.put("c", "2")
    server.compact()
    with pytest.raises(ServiceFailed, match="compacted"):
        server.ctl("get", "c", f"--rev={before}")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_and_address_outlive_the_end_by(server: EtcdServer, end: str) -> None:
    server.put("kept", end)
    url = server.url
    getattr(server, end)()
    assert not is_listening(server.port)
    server.start()
    assert (server.url, server.get("kept")) == (url, end)


def test_a_paused_server_answers_again_when_resumed(server: EtcdServer) -> None:
    server.pause()
    with pytest.raises(ServiceFailed):
        server.put("x", "1", timeout_s=0.3)
    server.resume()
    assert wait_until(server.revision, 5, "an answer")


def test_a_wiped_server_begins_at_the_first_revision(server: EtcdServer) -> None:
    server.put("gone", "1")
    server.wipe()
    assert server.get("gone") is None
    assert server.revision() == 1


def test_only_users_enter_when_it_is_guarded() -> None:
    with EtcdServer("guarded") as server:
        server.enable_auth("secret")
        server.put("a", "1")
        server.user = None
        with pytest.raises(ServiceFailed, match="user name is empty"):
            server.put("a", "2")
        server.user = "root:secret"
        server.restart()
        assert server.get("a") == "1"


def test_three_members_hold_the_same_keys() -> None:
    with etcd_cluster() as members:
        members[0].put("a", "1")
        assert [member.get("a") for member in members] == ["1", "1", "1"]
        assert sum(member.is_leader() for member in members) == 1
    assert not any(is_listening(member.port) for member in members)


def test_a_wrong_option_is_reported() -> None:
    with pytest.raises(ServiceFailed, match="no-such-option"):
        EtcdServer(options=["--no-such-option"]).start()


@pytest.mark.parametrize("call", ["check", "start"])
def test_without_etcd_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    server = EtcdServer()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServiceUnavailable, match=r"on PATH.*apt-get install etcd-server"):
        getattr(server, call)()
