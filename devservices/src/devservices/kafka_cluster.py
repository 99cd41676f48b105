"""Three nodes of Apache Kafka in one cluster, each of which can be killed, frozen and restarted."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Self

from .kafka import QUICK_START, KafkaBroker, identifier
from .kafka_admin import KafkaAdmin
from .process import HOST, free_port, is_listening, wait_until

START_TIMEOUT_S = 60.0


class KafkaNode(KafkaBroker):
    """One node of a ``KafkaCluster``, which makes it.

    It is ready when the cluster counts on it, for which most nodes have to run.
    """

    start_timeout_s: ClassVar[float] = 90.0
    memory: ClassVar[Sequence[str]] = ("-Xmx256m", *QUICK_START)

    def __init__(self, number: int, cluster: "KafkaCluster", settings: Mapping[str, str]) -> None:
        self.number = number
        self._cluster = cluster
        super().__init__(name=f"kafka{number}", settings=settings)

    def _completed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        ports = self._cluster.controller_ports
        return {
            **values,
            "node.id": str(self.number),
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{ports[self.number]}",
            "controller.quorum.bootstrap.servers": ",".join(
                f"{HOST}:{port}" for port in ports.values()
            ),
        }

    def _format_options(self) -> Sequence[str]:
        cluster = self._cluster
        controllers = ",".join(
            f"{number}@{HOST}:{port}:{cluster.directory_ids[number]}"
            for number, port in cluster.controller_ports.items()
        )
        return ["--cluster-id", cluster.identifier, "--initial-controllers", controllers]

    def _is_ready(self) -> bool:
        return is_listening(self.port) and self.number in self.admin.brokers()


class KafkaCluster:
    """Nodes that are broker and controller each; a context manager that starts them together.

    Topics have ``min(3, nodes)`` replicas, of which ``min.insync.replicas`` (2 of 3) confirm a
    write, unless they are created otherwise. A leader never moves back by itself: see
    ``KafkaAdmin.elect_preferred_leader``.
    """

    def __init__(self, nodes: int = 3, settings: Mapping[str, str] | None = None) -> None:
        """``settings`` are added to the ``server.properties`` of each node."""
        numbers = range(1, nodes + 1)
        self.identifier = identifier()
        self.controller_ports = {number: free_port() for number in numbers}
        self.directory_ids = {number: identifier() for number in numbers}
        common = _replication(min(3, nodes)) | dict(settings or {})
        self.nodes = {number: KafkaNode(number, self, common) for number in numbers}
        """The nodes by their number, from 1 on."""
        self._admin: KafkaAdmin | None = None

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, ``host:port,host:port,host:port``."""
        return ",".join(self.servers)

    @property
    def servers(self) -> tuple[str, ...]:
        """The address of each node, ``host:port``."""
        return tuple(node.bootstrap for node in self.nodes.values())

    @property
    def admin(self) -> KafkaAdmin:
        """An admin client of the whole cluster, made on first use."""
        if self._admin is None:
            self._admin = KafkaAdmin(self.bootstrap)
        return self._admin

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic with as many replicas as the cluster's default."""
        self.admin.create_topic(name, partitions, min(3, len(self.nodes)), config)

    def leader(self, topic: str, partition: int = 0) -> KafkaNode:
        """Return the node that leads a partition, waiting 20 s at most while there is none."""
        what = f"a leader of {topic}[{partition}]"
        number = wait_until(lambda: self.admin.leader(topic, partition) or 0, 20.0, what)
        return self.nodes[number]

    def start(self) -> Self:
        """Start all nodes that do not run, together: none is ready before most of them run.

        Returns when all are there and know each other. Raises as ``Service.start()`` does.
        """
        self._each(KafkaNode.start)
        everyone = set(self.nodes)
        wait_until(lambda: self.admin.brokers() == everyone, START_TIMEOUT_S, "all brokers")
        return self

    def stop(self) -> None:
        """End all nodes, by force: nobody needs their data, and the last ones would wait."""
        self._each(lambda node: node.process.kill() if node.is_running else None)

    def _each(self, do: Callable[[KafkaNode], object]) -> None:
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(do, self.nodes.values()))

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def _replication(replicas: int) -> dict[str, str]:
    in_sync = str(max(1, replicas - 1))
    return {
        "default.replication.factor": str(replicas),
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": in_sync,
        "auto.leader.rebalance.enable": "false",
        # A frozen follower holds writes up for this long before it is no longer in sync.
        "replica.lag.time.max.ms": "4000",
        "controller.quorum.election.timeout.ms": "1000",
        "controller.quorum.fetch.timeout.ms": "2000",
    }
