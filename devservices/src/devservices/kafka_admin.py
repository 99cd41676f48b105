"""What tests and benches ask of any Kafka cluster, through librdkafka's admin client."""

from .process import wait_until

REQUEST_TIMEOUT_S = 2.0


class KafkaAdmin:
    """Metadata of the cluster at ``bootstrap`` (``host:port``)."""

    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka.admin import AdminClient

        # librdkafka would print each refused connection while a broker starts.
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def answers(self) -> bool:
        """Return whether a metadata request is answered and names a live broker."""
        from confluent_kafka import KafkaException

        try:
            return bool(self._client.list_topics(timeout=REQUEST_TIMEOUT_S).brokers)
        except KafkaException:
            return False

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of ``topic`` that have a leader; 0 without the topic."""
        found = self._client.list_topics(timeout=REQUEST_TIMEOUT_S).topics.get(topic)
        if found is None:
            return 0
        return sum(partition.leader >= 0 for partition in found.partitions.values())

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic and wait until each of its partitions has a leader.

        Raises confluent_kafka.KafkaException when the broker refuses it (it exists, bad name).
        """
        from confluent_kafka.cimpl import NewTopic

        created = self._client.create_topics([NewTopic(name, partitions, 1)])
        created[name].result(timeout=10 * REQUEST_TIMEOUT_S)
        wait_until(
            lambda: self.partitions(name) == partitions,
            10 * REQUEST_TIMEOUT_S,
            f"a leader of each partition of topic {name!r}",
        )
