"""What may be written about a configuration database, and what the environment adds."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry
from queueconnector_core.structure import make_converter
from queueconnector_sdp.connection import Connection
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
from queueconnector_sdp.layout import Layout, etcd_key
from queueconnector_sdp.texts import is_owner_record

PATH = "/component/lmc-queueconnector-01/owner"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover().registry


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "PROTOCOL", "CERT", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"SDP_CONFIG_{name}", raising=False)


def read(registry: Registry, **options: Any) -> Any:
    document = {"type": "etcd", "path": PATH} | options
    return make_converter(registry).structure(document, ConfigSourceDescriptor)


@pytest.mark.parametrize("name", ["etcd", "EtcdConfigSource", "sdp", "SdpConfigSource"])
def test_both_sources_are_found_by_name_and_alias(registry: Registry, name: str) -> None:
    found = read(registry, type=name)
    assert registry.lookup(ComponentKind.CONFIG_SOURCE, name).descriptor is type(found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"path": "component"}, "path: found"),
        ({"path": "/a/"}, "path: found"),
        ({"path": "/"}, "path: found"),
        ({"path": "/a//b"}, "path: found"),
        ({"global_prefix": "test"}, "global_prefix: found"),
        ({"mode": "child"}, "did you mean 'children'"),
        ({"state_name": "a/b"}, "state_name: found"),
        ({"state_name": "fault"}, "is the same as state_name"),
        ({"servers": "ftp://a"}, "servers.*allowed: http://host:2379"),
        ({"servers": "http://a/b"}, "servers.*allowed: http://host:2379"),
        ({"servers": "a:port"}, "servers: found 'a:port'"),
        ({"servers": "a:99999"}, "servers: found 'a:99999'"),
        ({"audit_s": 0}, "audit_s.*at least 0.1"),
        ({"lease_ttl_s": 1}, "lease_ttl_s.*at least 2"),
        ({"key_file": "k"}, "key_file: needs the certificate"),
        ({"password_env": "A", "password_file": "b"}, "password_file: password_env is there"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    registry: Registry, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(registry, **options).check()


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        ({"password": "hunter2"}, "password_env or password_file"),
        ({"servers": "http://user:hunter2@host"}, "password_env"),
        ({"servers": "user:hunter2@host:2379"}, "password_env"),
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(
    registry: Registry, options: dict[str, Any], way_out: str
) -> None:
    with pytest.raises(ConfigError, match=way_out) as refused:
        read(registry, **options).check()
    assert "hunter2" not in str(refused.value)


def servers(registry: Registry, **options: Any) -> tuple[str, ...]:
    return Connection.of(read(registry, **options)).servers


def test_servers_have_a_scheme_and_a_port(registry: Registry) -> None:
    assert servers(registry) == ("http://127.0.0.1:2379",)
    written = ["a", "b:1", "http://c", "https://d:2/", "[::1]", "http://[::1]:3"]
    assert servers(registry, servers=written) == (
        *("http://a:2379", "http://b:1", "http://c:2379", "https://d:2"),
        *("http://[::1]:2379", "http://[::1]:3"),
    )


def test_the_environment_of_the_sdp_says_where_the_database_is(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDP_CONFIG_HOST", "etcd")
    assert servers(registry) == ("http://etcd:2379",)
    monkeypatch.setenv("SDP_CONFIG_PORT", "7")
    monkeypatch.setenv("SDP_CONFIG_PROTOCOL", "https")
    monkeypatch.setenv("SDP_CONFIG_USERNAME", "me")
    assert servers(registry) == ("https://etcd:7",)
    assert servers(registry, servers="other") == ("http://other:2379",)
    assert Connection.of(read(registry)).user == "me"
    assert Connection.of(read(registry, user="you")).user == "you"
    monkeypatch.setenv("SDP_CONFIG_PORT", "tcp://10.0.0.1:2379")
    with pytest.raises(ConfigError, match="SDP_CONFIG_PORT is 'tcp"):
        servers(registry)


def test_the_defaults_are_those_of_the_readme() -> None:
    options = EtcdConfigSourceDescriptor(path=PATH)
    assert (options.mode, options.state_name, options.fault_name) == ("children", "state", "fault")
    assert (options.audit_s, options.timeout_s, options.lease_ttl_s) == (5.0, 3.0, 10)
    assert options.reset_grace_s == 30.0
    assert options.start
    assert options.invalid == "keep"


def test_a_path_is_stored_with_the_number_of_its_slashes() -> None:
    layout = Layout(EtcdConfigSourceDescriptor(path=PATH))
    assert etcd_key(f"{PATH}/g1") == b"4/component/lmc-queueconnector-01/owner/g1"
    assert layout.children.key == f"4{PATH}/".encode()
    assert layout.children.end == f"4{PATH}0".encode()
    assert etcd_key(layout.state_path("g1")) == f"5{PATH}/g1/state".encode()
    assert etcd_key(layout.fault_path(None)) == f"4{PATH}/fault".encode()


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"pid": 1, "hostname": "h", "command": ["c"]}, True),
        ({"hostname": "h"}, True),
        ({"exchanges": []}, False),
        ({"exchanges": [], "pid": 1}, False),
        ({}, False),
        (["pid"], False),
        (None, False),
    ],
)
def test_an_owner_record_is_known_by_its_fields(document: object, answer: bool) -> None:
    assert is_owner_record(json.dumps(document)) is answer


@pytest.mark.parametrize("value", [b"\xff", "{", "[" * 100_000, b""])
def test_what_is_no_json_is_no_owner_record(value: str | bytes) -> None:
    assert not is_owner_record(value)


@pytest.mark.parametrize("strict", [True, False])
def test_certificates_are_judged_as_python_does_or_more_leniently(
    registry: Registry, strict: bool
) -> None:
    context = Connection.of(read(registry, servers="https://a", tls_strict=strict)).tls()
    assert context is not None
    by_python = ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_STRICT == (by_python if strict else 0)
    assert context.check_hostname


def test_a_host_that_the_certificate_does_not_name_can_be_accepted(registry: Registry) -> None:
    context = Connection.of(read(registry, servers="https://a", check_hostname=False)).tls()
    assert context is not None
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
