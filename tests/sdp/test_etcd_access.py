"""Logins, permissions and certificates: what is refused is told, and no secret ever is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from devservices.etcd import EtcdServer, EtcdTls
from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.errors import ConfigError, FatalError
from queueconnector_core.testing.config_source import Following
from queueconnector_sdp.etcd_source import EtcdConfigSource
from tests.sdp.certificates import make_certificates
from tests.sdp.conftest import Place, connections_to, report, until_tried

SECRET = "tr0ub4dor&3"  # noqa: S105 - of a server of this test


@pytest.fixture(scope="module")
def guarded_server(etcd_is_here: None) -> Iterator[EtcdServer]:  # noqa: ARG001
    """A server with the users root and connector."""
    with EtcdServer("guarded") as server:
        server.ctl("user", "add", f"connector:{SECRET}")
        server.ctl("role", "add", "connector")
        server.ctl("user", "grant-role", "connector", "connector")
        server.enable_auth(SECRET)
        yield server


@pytest.fixture
def guarded(guarded_server: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place there, with the documented permissions for the user connector."""
    monkeypatch.setenv("SDP_CONFIG_PASSWORD", SECRET)
    place = Place(guarded_server)
    below = place.key("x").removesuffix("x")
    grant(place, "read", below)
    grant(place, "readwrite", f"5{below[1:]}")
    return place


def grant(place: Place, kind: str, prefix: str) -> None:
    place.server.ctl("role", "grant-permission", "--prefix=true", "connector", kind, prefix)


@pytest.mark.parametrize("user", ["root", "connector"])
async def test_a_user_logs_in_and_again_when_the_server_forgot(
    guarded: Place, user: str, log: Callable[[], str]
) -> None:
    guarded.put_now("g1", "1")
    async with guarded.followed(user=user) as (source, following):
        guarded.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        await source.report(report(following))
        guarded.server.kill()
        await asyncio.to_thread(guarded.server.start)
        guarded.put_now("g1", "3")
        await following.until_documents({"g1": "3"})
        await source.report(report(following))
        assert json.loads(str(guarded.read("g1", "state")))["state"] == "ON"
        assert not [outage for outage in following.outages if outage.refused]
        assert SECRET not in log() + repr(following.events)


async def test_the_path_itself_needs_no_permission_in_mode_children(guarded: Place) -> None:
    guarded.put_now(None, "1")
    async with guarded.followed(user="connector") as (_, following):
        guarded.put_now("g1", "1")
        await following.until_documents({"g1": "1"})


@pytest.mark.usefixtures("impatient")
async def test_a_document_is_not_gone_because_it_may_no_longer_be_read(
    guarded: Place,
) -> None:
    exact = guarded.key()
    guarded.server.ctl("role", "grant-permission", "connector", "read", exact)
    guarded.put_now(None, "1")
    async with guarded.followed(user="connector") as (_, following):
        guarded.server.ctl("role", "revoke-permission", "connector", exact)
        guarded.server.kill()
        await asyncio.to_thread(guarded.server.start)
        await following.until(lambda: [told for told in following.outages if told.refused])
        assert following.documents == {"default": "1"}
        guarded.server.ctl("role", "grant-permission", "connector", "read", exact)
        await following.until_synced(2)


async def refusals(source: EtcdConfigSource) -> Following:
    """Follow until it was refused, and tried again."""
    following = Following(source)
    await following.until(lambda: following.outages)
    await until_tried(source)
    return following


@pytest.mark.usefixtures("impatient")
async def test_what_may_not_be_read_is_told_once_and_works_as_soon_as_it_may(
    guarded: Place, log: Callable[[], str]
) -> None:
    other = Place(guarded.server)
    following = await refusals(source := other.source(user="connector"))
    (outage,) = following.events
    assert outage in following.outages
    assert following.outages[0].refused
    assert following.outages[0].reason.endswith("permission denied")
    grant(other, "read", other.key("x").removesuffix("x"))
    other.put_now("g1", "1")
    await following.until_documents({"g1": "1"})
    await following.until_synced()
    assert SECRET not in log() + repr(following.events)
    await following.close()
    await source.stop()


async def test_a_report_that_is_denied_does_not_end_the_following(guarded: Place) -> None:
    other = Place(guarded.server)
    grant(other, "read", other.key("x").removesuffix("x"))
    other.put_now("g1", "1")
    async with other.followed(user="connector") as (source, following):
        with pytest.raises(FatalError) as denied:
            await source.report(report(following))
        assert "user 'connector' may not write" in str(denied.value)
        assert f"grant it readwrite on the prefix {other.key('g1', 'state')}" in str(denied.value)
        other.put_now("g1", "2")
        await following.until_documents({"g1": "2"})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"user": "connector", "password_env": "WRONG"}, "authentication failed, invalid user ID"),
        ({"user": "nobody"}, "authentication failed, invalid user ID"),
        ({}, "only users may enter; name one: user"),
        ({"user": "connector", "password_env": "UNSET"}, "environment variable UNSET is not set"),
        ({"user": "connector", "password_file": "/nowhere"}, "'/nowhere' cannot be read: No such"),
    ],
)
async def test_a_login_that_fails_says_why_and_shows_no_secret(
    guarded: Place,
    monkeypatch: pytest.MonkeyPatch,
    log: Callable[[], str],
    options: dict[str, str],
    reason: str,
) -> None:
    wrong = "wr0ng-horse"
    monkeypatch.setenv("WRONG", wrong)
    monkeypatch.delenv("UNSET", raising=False)
    source = guarded.source(**options)
    following = await refusals(source)
    (outage,) = following.outages
    assert outage.refused
    assert reason in outage.reason
    shown = log() + repr(following.events) + repr(attrs.asdict(guarded.descriptor(**options)))
    assert wrong not in shown
    assert SECRET not in shown + repr(vars(source))
    await following.close()
    await source.stop()


async def test_the_password_may_stand_in_a_file(guarded: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    options = {"user": "connector", "password_file": str(tmp_path / "secret")}
    async with guarded.followed(**options) as (_, following):
        assert following.synced == 1


async def test_a_server_without_users_takes_any_login(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDP_CONFIG_PASSWORD", SECRET)
    monkeypatch.setenv("SDP_CONFIG_USERNAME", "connector")
    place.put_now("g1", "1")
    async with place.followed() as (_, following):
        assert following.documents == {"g1": "1"}


@pytest.mark.usefixtures("impatient")
async def test_without_the_gateway_the_error_says_how_to_switch_it_on() -> None:
    with EtcdServer("closed", options=["--enable-grpc-gateway=false"]) as server:
        following = await refusals(source := Place(server).source())
        (outage,) = following.outages
        assert outage.refused
        assert "HTTP 404" in outage.reason
        assert "--enable-grpc-gateway=true" in outage.reason
        await following.close()
        await source.stop()


@pytest.fixture(scope="module")
def tls_server(etcd_is_here: None, certificates: EtcdTls) -> Iterator[EtcdServer]:  # noqa: ARG001
    with EtcdServer("encrypted", tls=certificates) as server:
        yield server


@pytest.fixture
def encrypted(tls_server: EtcdServer) -> Place:
    return Place(tls_server)


async def test_mutual_tls(encrypted: Place, certificates: EtcdTls) -> None:
    encrypted.put_now("g1", "1")
    options = {
        "ca_file": str(certificates.ca),
        "cert_file": str(certificates.client_cert),
        "key_file": str(certificates.client_key),
        "servers": (f"localhost:{encrypted.server.port}",),
    }
    async with encrypted.followed(**options) as (source, following):
        encrypted.put_now("g1", "2")
        await following.until_documents({"g1": "2"})
        await source.report(report(following))
        assert encrypted.read("g1", "state") is not None
    assert connections_to(encrypted.server.port) == 0


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_nobody_known_vouches_for_is_refused(encrypted: Place) -> None:
    following = await refusals(source := encrypted.source())
    (outage,) = following.outages
    assert outage.refused
    assert "its certificate is refused" in outage.reason
    assert "ca_file" in outage.reason
    await following.close()
    await source.stop()


async def test_a_client_without_a_certificate_is_not_let_in(
    encrypted: Place, certificates: EtcdTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDP_CONFIG_CERT", str(certificates.ca))
    following = await refusals(source := encrypted.source())
    assert following.synced == 0
    await following.close()
    await source.stop()


@pytest.mark.usefixtures("impatient")
async def test_certificates_are_read_again_after_a_failure(
    encrypted: Place, certificates: EtcdTls, tmp_path: Path
) -> None:
    given = tmp_path / "given.pem"
    given.write_bytes(make_certificates(tmp_path).ca.read_bytes())
    options = {
        "ca_file": str(given),
        "cert_file": str(certificates.client_cert),
        "key_file": str(certificates.client_key),
    }
    following = await refusals(source := encrypted.source(**options))
    assert "certificate is refused" in following.outages[0].reason
    given.write_bytes(certificates.ca.read_bytes())
    await following.until_synced()
    await following.close()
    await source.stop()


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_certificates_that_cannot_be_read_are_an_error_of_the_configuration(
    place: Place, tmp_path: Path, option: str
) -> None:
    (tmp_path / "junk").write_text("junk")
    for name, reason in (("absent", "No such file"), ("junk", "PEM")):
        descriptor = place.descriptor(servers=("https://a",), **{option: str(tmp_path / name)})
        with pytest.raises(ConfigError, match=rf"(?s){option}: found .*{name}.*{reason}"):
            EtcdConfigSource(descriptor, ConfigContext("host"))
