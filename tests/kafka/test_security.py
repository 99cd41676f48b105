"""TLS and logins on a real broker: who may come in does, who may not is told why, no secret shows.

Each test ends with a search for the secrets in all that was logged (down to DEBUG), raised (with
the locals of every frame) or shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devservices.certificates import Authority, Certificate
from devservices.kafka import KafkaBroker
from devservices.kafka_secure import SCRAM, SecureKafkaBroker
from devservices.process import free_port
from queueconnector_core.component import Services
from queueconnector_core.connector import Connector
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.plan import read_plan
from queueconnector_core.protocols import Sink
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_core.states import State
from queueconnector_kafka import _client
from tests.kafka.clients import chosen
from tests.kafka.secrecy import Witness

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader

PASSWORD = "tr0ub4dor&3"  # noqa: S105 - of a broker of this test
WRONG = "wr0ng-horse&7"
PASS_PHRASE = "battery=staple&9"  # noqa: S105
NEW = "newer&tr0ub4dor"
CLI = Path(sys.executable).with_name("queueconnector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("security")
    (folder / "phrase").write_text(PASS_PHRASE + "\n")
    (folder / "password").write_text(PASSWORD + "\r\n")
    (folder / "empty").write_text("\n")
    (folder / "large").write_text("x" * 70_000)
    return folder


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    """Vouches for nobody here."""
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def broker(kafka_broker: KafkaBroker, folder: Path) -> Iterator[SecureKafkaBroker]:  # noqa: ARG001
    """A broker where alice may do what is granted, with an expired and a misnamed listener."""
    other = Authority(folder, "other")
    certificates = {
        "EXPIRED": other.issue("expired", expired=True),
        "MISNAMED": other.issue("misnamed", ["DNS:kafka.elsewhere"]),
    }
    with SecureKafkaBroker({"alice": PASSWORD}, certificates=certificates) as broker:
        yield broker


@pytest.fixture(scope="module")
def client(broker: SecureKafkaBroker) -> Certificate:
    return broker.authority.issue("carol", pass_phrase=PASS_PHRASE)


@pytest.fixture
def secure(broker: SecureKafkaBroker, registry: Registry) -> Harness:
    from tests.kafka.conftest import Harness

    return Harness(broker, registry)


@pytest.fixture(autouse=True)
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG_PASSWORD", WRONG)
    monkeypatch.delenv("UNSET", raising=False)
    with Witness((PASSWORD, WRONG, PASS_PHRASE, NEW)).watching() as witness:
        yield witness


@pytest.fixture
def topic(broker: SecureKafkaBroker) -> str:
    """A topic that alice may read and write."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    broker.create_topic(name)
    for right in ("READ", "WRITE"):
        broker.admin.allow("alice", right, "TOPIC", name)
    return name


def login(broker: SecureKafkaBroker, **options: Any) -> dict[str, Any]:
    """The options `security` of alice; None leaves one out."""
    given = {
        "protocol": "SASL_SSL",
        "ca_file": str(broker.authority.ca),
        "mechanism": "SCRAM-SHA-256",
        "user": "alice",
        "password_env": "KAFKA_PASSWORD",
    } | options
    return {name: value for name, value in given.items() if value is not None}


def document(
    server: str, source: str, sink: str, security: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A configuration that copies a topic to another one."""
    ends = {
        "source": {"type": "KafkaConsumerSource", "topic": source},
        "sink": {"type": "KafkaProducerSink", "topic": sink},
    }
    for end in ends.values():
        end |= {"servers": server, "security": security, "client": chosen()}  # type: ignore[dict-item]
    return {"exchanges": {"guarded": [ends]}} | more


class Host:
    """A connector that copies a topic, and all that can be seen of it."""

    def __init__(self, registry: Registry, witness: Witness) -> None:
        self._registry, self._witness = registry, witness
        self.connector = Connector(registry)

    async def start(self, configuration: dict[str, Any]) -> None:
        text = json.dumps(configuration)
        self._witness.see(read_plan(text, self._registry, Services()))
        await self.connector.configure(text, start=True)

    async def until(self, state: State) -> str:
        """Wait for a state of the group; the status then."""
        async with asyncio.timeout(40):
            while self.connector.groups["guarded"].state is not state:
                await asyncio.sleep(0.02)
        group = self.connector.groups["guarded"]
        status = self.connector.status_text()
        self._witness.see(status, group.fault, vars(group), *group.exchanges)
        return status


@pytest.fixture
async def host(registry: Registry, witness: Witness) -> Any:
    host = Host(registry, witness)
    yield host
    await host.connector.shut_down()


# -- who may come in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [("SASL_SSL", name) for name in ("PLAIN", *SCRAM)] + [("SASL_PLAINTEXT", SCRAM[0])],
)
async def test_a_password_opens_both_ends(
    broker: SecureKafkaBroker,
    registry: Registry,
    reading: type[Reader],
    witness: Witness,
    topic: str,
    protocol: str,
    mechanism: str,
) -> None:
    tls = {} if protocol == "SASL_SSL" else {"ca_file": None}
    security = login(broker, protocol=protocol, mechanism=mechanism, **tls)
    source, sink = ends(registry, broker.address(protocol), topic, security, witness)
    await source.start()
    await sink.start()
    reader = reading(source)
    await sink.write(Batch(["a", "b"]))
    assert await reader.until(2) == ["a", "b"]
    witness.see(vars(source), vars(sink))
    await sink.stop()
    await source.stop()
    await reader.end()


async def test_a_certificate_opens_both_ends(
    broker: SecureKafkaBroker,
    registry: Registry,
    reading: type[Reader],
    witness: Witness,
    client: Certificate,
    folder: Path,
    topic: str,
) -> None:
    for right in ("READ", "WRITE"):
        broker.admin.allow("carol", right, "TOPIC", topic)
    security = {
        "protocol": "SSL",
        "ca_file": str(broker.authority.ca),
        "cert_file": str(client.cert),
        "key_file": str(client.key),
        "key_password_file": str(folder / "phrase"),
    }
    source, sink = ends(registry, broker.address("SSL"), topic, security, witness)
    await source.start()
    await sink.start()
    reader = reading(source)
    await sink.write(Batch(["a"]))
    assert await reader.until(1) == ["a"]
    await sink.stop()
    await source.stop()
    await reader.end()


async def test_a_host_that_the_certificate_does_not_name_may_be_accepted(
    broker: SecureKafkaBroker, registry: Registry, witness: Witness, folder: Path, topic: str
) -> None:
    security = login(broker, ca_file=str(folder / "other.pem"), check_hostname=False)
    source, sink = ends(registry, broker.address("MISNAMED"), topic, security, witness)
    for end in (source, sink):
        await end.start()
        await end.stop()


async def test_a_changed_password_is_found_at_the_next_start(
    broker: SecureKafkaBroker, registry: Registry, witness: Witness, tmp_path: Path, topic: str
) -> None:
    secret = tmp_path / "secret"
    broker.admin.set_password("dave", PASSWORD)
    for right in ("READ", "WRITE"):
        broker.admin.allow("dave", right, "TOPIC", topic)
    secret.write_text(PASSWORD)
    security = login(broker, user="dave", password_env=None, password_file=str(secret))
    both = ends(registry, broker.address(), topic, security, witness)
    for end in both:
        await end.start()
        await end.stop()
    broker.admin.set_password("dave", NEW)
    for end in both:
        with pytest.raises(FatalError, match="user 'dave' may not log in by SCRAM-SHA-256"):
            await end.start()
    secret.write_text(NEW + "\n")
    for end in both:
        await end.start()
        await end.stop()


# -- who may not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "options", "reason"),
    [
        ("SASL_SSL", {"password_env": "WRONG_PASSWORD"}, "user 'alice' may not log in by SCRAM-"),
        (
            "SASL_SSL",
            {"password_env": "WRONG_PASSWORD", "mechanism": "PLAIN"},
            "user 'alice' may not log in by PLAIN: .*Invalid username or password",
        ),
        ("SASL_SSL", {"user": "mallory"}, "user 'mallory' may not log in by SCRAM-SHA-256"),
        (
            "SASL_SSL",
            {"password_env": "UNSET"},
            "no password of user 'alice': the environment variable UNSET is not set; password_env",
        ),
        (
            "SASL_SSL",
            {"password_env": None, "password_file": "absent"},
            "no password of user 'alice': password_file '.*absent' cannot be read: No such file",
        ),
        ("SASL_SSL", {"password_env": None, "password_file": "empty"}, "empty' is empty"),
        ("SASL_SSL", {"password_env": None, "password_file": "large"}, "larger than 65536 bytes"),
        ("SASL_SSL", {"password_env": None, "password_file": "."}, "Is a directory"),
        (
            "SASL_SSL",
            {"ca_file": "stranger.pem"},
            "its certificate is refused: .*(unable to get local issuer|self.signed)",
        ),
        ("SASL_SSL", {"ca_file": "absent.pem"}, "ca_file: found '.*absent.pem': No such file"),
        (
            "EXPIRED",
            {"ca_file": "other.pem"},
            "its certificate is refused: certificate has expired",
        ),
        (
            "MISNAMED",
            {"ca_file": "other.pem"},
            "its certificate is refused: IP address mismatch, certificate is not valid for '127",
        ),
        (
            "SSL",
            {"protocol": "SSL", "mechanism": None, "user": None, "password_env": None},
            "it refuses the certificate of this client, or that there is none",
        ),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    broker: SecureKafkaBroker,
    registry: Registry,
    witness: Witness,
    folder: Path,
    stranger: Authority,
    listener: str,
    options: dict[str, Any],
    reason: str,
) -> None:
    assert stranger.ca.is_file()
    files = {
        name: str(folder / value)
        for name, value in options.items()
        if name.endswith("_file") and value is not None
    }
    security = login(broker, **options | files)
    server = broker.address(listener)
    for end in ends(registry, server, "t", security, witness):
        with pytest.raises(FatalError, match=reason) as refused:
            await end.start()
        assert str(refused.value).startswith(f"no access to topic 't' at {server}: ")
        witness.see_error(refused.value)
        witness.see(vars(end))
        await end.stop()


async def test_a_group_needs_the_right_to_read_it_and_no_more(
    broker: SecureKafkaBroker, registry: Registry, witness: Witness, topic: str
) -> None:
    source, _ = ends(registry, broker.address(), topic, login(broker), witness, group_id=topic)
    with pytest.raises(FatalError, match=rf"cannot read topic '{topic}' .*GroupAuthorizationFail"):
        await source.start()
    broker.admin.allow("alice", "READ", "GROUP", topic)
    await source.start()
    await source.stop()


async def test_one_server_that_lets_in_is_enough_and_one_that_is_away_may_come(
    broker: SecureKafkaBroker, registry: Registry, witness: Witness, topic: str
) -> None:
    away = f"127.0.0.1:{free_port()}"
    for servers in ([away, broker.address()], [broker.address("EXPIRED"), broker.address()]):
        source, _ = ends(registry, servers, topic, login(broker), witness)
        await source.start()
        await source.stop()
    source, _ = ends(registry, [away, broker.address("EXPIRED")], topic, login(broker), witness)
    with pytest.raises(RetryableError, match=rf"{away}: Connection refused; .* is refused") as told:
        await source.start()
    witness.see_error(told.value)


async def test_a_port_that_closes_the_connection_may_be_one_of_another_protocol(
    broker: SecureKafkaBroker, registry: Registry, witness: Witness
) -> None:
    server = broker.address("SASL_PLAINTEXT")
    for end in ends(registry, server, "t", login(broker), witness):
        with pytest.raises(RetryableError) as told:
            await end.start()
        assert "perhaps this port does not speak SASL_SSL" in str(told.value)


@pytest.mark.parametrize("right", ["READ", "WRITE"])
async def test_a_right_that_is_taken_while_it_runs_fails_the_exchange_by_name(
    broker: SecureKafkaBroker, secure: Harness, host: Host, topic: str, right: str
) -> None:
    other = f"{topic}-copy"
    broker.create_topic(other)
    for granted in ("DESCRIBE", "READ", "WRITE"):
        broker.admin.allow("alice", granted, "TOPIC", other)
    broker.admin.allow("alice", "DESCRIBE", "TOPIC", topic)
    await host.start(document(broker.address(), topic, other, login(broker)))
    await host.until(State.ON)
    await asyncio.to_thread(secure.produce, topic, b"'one'")
    async with asyncio.timeout(20):
        while not host.connector.groups["guarded"].exchanges[0].statistics.delivered:
            await asyncio.sleep(0.02)
    lost = topic if right == "READ" else other
    await asyncio.to_thread(broker.admin.revoke, "alice", right, "TOPIC", lost)
    await asyncio.to_thread(secure.produce, topic, b"'two'")
    status = await host.until(State.FAULT)
    does = "read" if right == "READ" else "write"
    assert f"Group guarded is FAULT: cannot {does} topic '{lost}' at {broker.address()}" in status
    assert "TopicAuthorizationFailed" in status
    assert "guarded[0] failed: " in status


def test_the_command_line_tells_the_exchange_and_the_reason_and_no_secret(
    broker: SecureKafkaBroker, witness: Witness, tmp_path: Path, topic: str
) -> None:
    security = login(broker, password_env="WRONG_PASSWORD", mechanism="PLAIN")  # noqa: S106
    configuration = tmp_path / "copy.json"
    configuration.write_text(json.dumps(document(broker.address(), topic, topic, security)))
    done = subprocess.run(
        [str(CLI), "run", str(configuration)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    witness.see(done.stdout)
    assert done.returncode == 1
    reason = f"no access to topic '{topic}' at {broker.address()}"
    flat = " ".join(done.stdout.split())
    assert f"guarded[0]: {reason}: {broker.address()}: user 'alice' may not log in by PLAIN" in flat


async def tried_until_it_is_over(sink: Sink, batch: Batch) -> None:
    """Write as the runner does."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RetryableError):
                await sink.write(batch)
                return


async def test_a_password_that_was_changed_ends_a_write_once_the_connection_is_lost(
    broker: SecureKafkaBroker,
    registry: Registry,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
    topic: str,
) -> None:
    monkeypatch.setattr(_client, "REQUEST_TIMEOUT_MS", 2_000)
    broker.admin.set_password("erin", PASSWORD)
    broker.admin.allow("erin", "WRITE", "TOPIC", topic)
    _, sink = ends(registry, broker.address(), topic, login(broker, user="erin"), witness)
    await sink.start()
    await sink.write(Batch(["before"]))
    broker.admin.set_password("erin", NEW)
    await sink.write(Batch(["connected"]))
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    with pytest.raises(FatalError, match="user 'erin' may not log in by SCRAM-SHA-256") as told:
        await tried_until_it_is_over(sink, Batch(["after"]))
    witness.see_error(told.value)
    await sink.stop()


def ends(
    registry: Registry,
    servers: str | list[str],
    topic: str,
    security: dict[str, Any],
    witness: Witness,
    **of_source: Any,
) -> tuple[Any, Any]:
    """A source and a sink, as a host makes them of a configuration."""
    configuration = document(servers, topic, topic, security)  # type: ignore[arg-type]
    configuration["exchanges"]["guarded"][0]["source"] |= of_source
    plan = read_plan(json.dumps(configuration), registry, Services())
    witness.see(plan)
    (exchange,) = plan.groups["guarded"]
    built = exchange.build(registry, Services())
    (source,), (sink,) = built._sources, built._sinks
    return source, sink
