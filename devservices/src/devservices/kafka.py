"""Apache Kafka itself: one KRaft node, broker and controller in one."""

import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .errors import ServiceFailed
from .kafka_admin import KafkaAdmin
from .kafka_jars import KAFKA_VERSION, java, kafka_jars
from .process import HOST, free_port, is_listening
from .service import Service

JAVA_OPTIONS = (
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options for programs that run for seconds: they do without what makes Java fast later."""


def identifier() -> str:
    """Return a new identifier as Kafka writes them."""
    # One that begins with "-" would be taken for an option.
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


class KafkaBroker(Service):
    """An Apache Kafka broker of its own, with empty storage and topics created on first use.

    ``settings`` are added to its ``server.properties``, for example
    ``{"message.max.bytes": "200000"}``.
    """

    start_timeout_s: ClassVar[float] = 60.0
    stop_grace_s: ClassVar[float] = 20.0
    memory: ClassVar[Sequence[str]] = ("-Xmx512m",)

    def __init__(
        self,
        *,
        version: str = KAFKA_VERSION,
        settings: Mapping[str, str] | None = None,
        name: str = "kafka",
    ) -> None:
        super().__init__(name)
        self.version = version
        self.port = free_port()
        self.bootstrap = f"{HOST}:{self.port}"
        self._properties = self.directory / "server.properties"
        self._storage = self.directory / "data"
        self._admin: KafkaAdmin | None = None
        values = _server_properties(self.port, free_port(), self._storage) | dict(settings or {})
        lines = (f"{key}={value}\n" for key, value in self._completed(values).items())
        self._properties.write_text("".join(lines))

    def _completed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the properties of the server with what this kind of broker changes in them."""
        return values

    @classmethod
    def check(cls, version: str = KAFKA_VERSION) -> str:
        """Return the name and version; fetches the jars where they are not in the cache yet."""
        java()
        kafka_jars(version)
        return f"Apache Kafka {version} (KRaft)"

    @property
    def admin(self) -> KafkaAdmin:
        """An admin client of this broker, made on first use."""
        if self._admin is None:
            self._admin = KafkaAdmin(self.bootstrap)
        return self._admin

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic and wait until it can be written."""
        self.admin.create_topic(name, partitions)

    def _command(self) -> Sequence[str]:
        if not self._storage.exists():
            self._format()
        return [*self._java(*self.memory), "kafka.Kafka", str(self._properties)]

    def _java(self, *options: str) -> list[str]:
        return [java(), *options, *JAVA_OPTIONS, "-cp", f"{kafka_jars(self.version)}/*"]

    def _format(self) -> None:
        command = [*self._java("-Xmx128m", *QUICK_START), "kafka.tools.StorageTool", "format"]
        result = subprocess.run(
            [*command, "--config", str(self._properties), *self._format_options()],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            shutil.rmtree(self._storage, ignore_errors=True)
            raise ServiceFailed(f"Kafka's storage could not be formatted:\n{result.stderr}")

    def _format_options(self) -> Sequence[str]:
        return ["--standalone", "--cluster-id", identifier()]

    def _is_ready(self) -> bool:
        return is_listening(self.port) and self.admin.answers()


def _server_properties(port: int, controller_port: int, storage: Path) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(storage),
        "auto.create.topics.enable": "true",
        "num.partitions": "1",
        # A single node cannot hold the default three replicas of the internal topics.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A consumer group would wait 3 s for company, and for 50 partitions to be made.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        # After a kill the node waits for its old session to end before it may serve again.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "200",
        # The default buffer is a quarter of this heap.
        "log.cleaner.dedupe.buffer.size": "8388608",
    }
