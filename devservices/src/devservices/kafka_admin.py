"""What tests and benches ask of any Kafka cluster, through librdkafka's admin client."""

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from .process import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, PartitionMetadata, TopicMetadata

REQUEST_TIMEOUT_S = 2.0
CHANGE_TIMEOUT_S = 20.0
TRIES = 3


class KafkaAdmin:
    """The administrator of the cluster at ``bootstrap`` (``host:port``, or several with commas).

    ``settings`` are added to the configuration of librdkafka, such as how to log in. What the
    cluster refuses raises confluent_kafka.KafkaException; what does not show in time TimeoutError.
    """

    def __init__(self, bootstrap: str, settings: Mapping[str, Any] | None = None) -> None:
        # librdkafka would print each refused connection while a broker starts.
        self._settings = {"bootstrap.servers": bootstrap, "log_level": 0, **(settings or {})}
        self._client = self._connect()

    def _connect(self) -> "AdminClient":
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._settings)

    # -- the cluster --------------------------------------------------------------------------

    def answers(self) -> bool:
        """Return whether a metadata request is answered and names a live broker."""
        return bool(self.brokers())

    def brokers(self) -> set[int]:
        """Return the numbers of the live brokers; none when nobody answers."""
        from confluent_kafka import KafkaException

        try:
            return set(self._client.list_topics(timeout=REQUEST_TIMEOUT_S).brokers)
        except KafkaException:
            return set()

    # -- topics -------------------------------------------------------------------------------

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replicas: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create a topic and wait until each of its partitions has a leader.

        ``config`` are settings of the topic, such as ``{"retention.ms": "1000"}``.
        """
        from confluent_kafka.cimpl import NewTopic

        topic = NewTopic(name, partitions, replicas, config=dict(config or {}))
        _done(self._client.create_topics([topic]))
        self._await_partitions(name, partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until it is gone."""
        _done(self._client.delete_topics([name]))
        wait_until(lambda: not self._metadata(name), CHANGE_TIMEOUT_S, f"the end of {name!r}")

    def add_partitions(self, topic: str, total: int) -> None:
        """Let a topic have ``total`` partitions, more than before, and wait for their leaders."""
        from confluent_kafka.cimpl import NewPartitions

        _done(self._client.create_partitions([NewPartitions(topic, total)]))
        self._await_partitions(topic, total)

    def configure_topic(self, topic: str, config: Mapping[str, str]) -> None:
        """Set settings of a topic, such as ``retention.ms``; the others stay."""
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            ResourceType,
        )

        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        _done(self._client.incremental_alter_configs([resource]))

    def _await_partitions(self, topic: str, count: int) -> None:
        wait_until(
            lambda: self.partitions(topic) == count,
            CHANGE_TIMEOUT_S,
            f"a leader of each partition of topic {topic!r}",
        )

    # -- partitions ---------------------------------------------------------------------------

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of ``topic`` that have a leader; 0 without the topic."""
        return sum(partition.leader >= 0 for partition in self._metadata(topic).values())

    def leader(self, topic: str, partition: int = 0) -> int | None:
        """Return the number of the broker that leads a partition; None when there is none."""
        found = self._metadata(topic).get(partition)
        return found.leader if found is not None and found.leader >= 0 else None

    def replicas(self, topic: str, partition: int = 0) -> Sequence[int]:
        """Return the brokers that hold a partition, the preferred leader first."""
        return tuple(self._metadata(topic)[partition].replicas)

    def in_sync(self, topic: str, partition: int = 0) -> set[int]:
        """Return the brokers whose copy of a partition is complete."""
        return set(self._metadata(topic)[partition].isrs)

    def elect_preferred_leader(self, topic: str, partition: int = 0) -> None:
        """Let the first of the replicas lead, once it is in sync; wait until it does."""
        from confluent_kafka import ElectionType, TopicPartition

        preferred = self.replicas(topic, partition)[0]
        wait_until(
            lambda: preferred in self.in_sync(topic, partition),
            CHANGE_TIMEOUT_S,
            f"broker {preferred} to be in sync",
        )
        if self.leader(topic, partition) == preferred:
            return
        place = TopicPartition(topic, partition)
        elected = self._client.elect_leaders(ElectionType.PREFERRED, [place])
        elected.result(timeout=CHANGE_TIMEOUT_S)
        wait_until(
            lambda: self.leader(topic, partition) == preferred,
            CHANGE_TIMEOUT_S,
            f"broker {preferred} to lead {topic}[{partition}]",
        )

    def offsets(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """Return the offset of the first record, and the one after the last."""
        from confluent_kafka import KafkaError, KafkaException, TopicPartition
        from confluent_kafka.admin import OffsetSpec

        place = TopicPartition(topic, partition)
        specs: Any = OffsetSpec  # its methods have no types

        def ask(spec: Any) -> tuple[int, ...]:
            try:
                return (_done(self._client.list_offsets({place: spec})).offset,)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
                return ()  # Not every broker knows a new topic at once.

        def offset(spec: Any) -> int:
            return wait_until(lambda: ask(spec), CHANGE_TIMEOUT_S, f"topic {topic!r}")[0]

        return offset(specs.earliest()), offset(specs.latest())

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Delete the records of a partition up to an offset, which itself stays."""
        from confluent_kafka import TopicPartition

        _done(self._client.delete_records([TopicPartition(topic, partition, before)]))

    def _metadata(self, topic: str) -> "Mapping[int, PartitionMetadata]":
        found = self._topics().get(topic)
        return {} if found is None else found.partitions

    def _topics(self) -> "Mapping[str, TopicMetadata]":
        """All topics: to ask for one would make it."""
        from confluent_kafka import KafkaException

        for _ in range(TRIES):
            with contextlib.suppress(KafkaException):
                return self._client.list_topics(timeout=REQUEST_TIMEOUT_S).topics
            # librdkafka keeps asking the broker that it asked last, even if that one is frozen.
            self._client = self._connect()
        return self._client.list_topics(timeout=REQUEST_TIMEOUT_S).topics

    # -- users and their rights ---------------------------------------------------------------

    def set_password(self, user: str, password: str, mechanism: str = "SCRAM-SHA-256") -> None:
        """Make a user of SCRAM-SHA-256 or SCRAM-SHA-512, or give it a new password."""
        from confluent_kafka.admin import (
            ScramCredentialInfo,
            ScramMechanism,
            UserScramCredentialUpsertion,
        )

        kind = ScramMechanism[mechanism.replace("-", "_")]
        change = UserScramCredentialUpsertion(
            user, ScramCredentialInfo(kind, 4096), password.encode()
        )
        _done(self._client.alter_user_scram_credentials([change]))

    def allow(self, user: str, operation: str, kind: str, name: str) -> None:
        """Grant a right: ``operation`` such as ``READ``, on a ``TOPIC`` or ``GROUP`` of a name."""
        _done(self._client.create_acls([_acl(user, operation, kind, name)]))

    def revoke(self, user: str, operation: str, kind: str, name: str) -> None:
        """Take back what ``allow`` granted, raises LookupError when there is nothing to take."""
        right = _acl(user, operation, kind, name, for_filter=True)
        removed = _done(self._client.delete_acls([right]))
        if not removed:
            raise LookupError(f"user {user!r} has no right {operation} on {kind} {name!r}")


def _acl(user: str, operation: str, kind: str, name: str, *, for_filter: bool = False) -> Any:
    from confluent_kafka.admin import (
        AclBinding,
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    cls = AclBindingFilter if for_filter else AclBinding
    principal, permission = f"User:{user}", AclPermissionType.ALLOW
    literal = ResourcePatternType.LITERAL
    return cls(
        ResourceType[kind], name, literal, principal, "*", AclOperation[operation], permission
    )


def _done(futures: Mapping[Any, Future[Any]]) -> Any:
    """The result of the only future; raises what it raises."""
    (future,) = futures.values()
    return future.result(timeout=CHANGE_TIMEOUT_S)
