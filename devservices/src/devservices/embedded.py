"""A Kafka broker for a machine with Python alone: librdkafka's mock cluster."""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import ClassVar

from .kafka_admin import KafkaAdmin
from .process import wait_until
from .service import Service

AUTOMATIC_PARTITIONS = 4


class EmbeddedBroker(Service):
    """The mock cluster inside the confluent-kafka wheel, in a process of its own.

    It speaks the Kafka protocol to any client, but it is no Kafka. Know before use:

    - a topic made by its first use has 4 partitions; ``create_topic`` makes as many as asked;
    - it keeps the last 5 MB of each partition in memory and drops older records without a sign;
    - a waiting fetch does not wake on new data, so set ``fetch_max_wait_ms`` to 10 or less;
    - each start gives it a new port and an empty store.
    """

    stdin: ClassVar[int] = subprocess.PIPE

    def __init__(self) -> None:
        super().__init__("embedded-broker")
        self._admin: KafkaAdmin | None = None

    @classmethod
    def check(cls) -> str:
        """Return the name and version; it comes with this package, so nothing can be missing."""
        return f"librdkafka mock cluster {importlib.metadata.version('confluent-kafka')}"

    @property
    def bootstrap(self) -> str:
        """The address, ``host:port``; raises RuntimeError before the first start."""
        address = self._address()
        if address is None:
            raise RuntimeError(f"{self.name} has no address yet; it is known after start()")
        return address

    @property
    def admin(self) -> KafkaAdmin:
        """An admin client of the cluster as it runs now."""
        if self._admin is None:
            self._admin = KafkaAdmin(self.bootstrap)
        return self._admin

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic and wait until it can be written.

        Raises confluent_kafka.KafkaException when it exists.
        """
        from confluent_kafka import KafkaError, KafkaException

        if self.admin.partitions(name):
            raise KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS, name))
        self.process.write_line(f"{name} {partitions}")
        wait_until(lambda: self.admin.partitions(name) == partitions, 10.0, f"topic {name!r}")

    def _command(self) -> Sequence[str]:
        self._admin = None
        return [sys.executable, "-m", "devservices._mock_cluster"]

    def _is_ready(self) -> bool:
        return self._address() is not None and self.admin.answers()

    def _address(self) -> str | None:
        found = re.search(r"^bootstrap (\S+)$", self.process.output(), re.MULTILINE)
        return found[1] if found else None
