"""Three nodes are one Kafka: what is confirmed outlives any one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException

from devservices import kcat
from devservices.kafka import KafkaBroker
from devservices.kafka_cluster import KafkaCluster, KafkaNode
from devservices.process import wait_until


@pytest.fixture(scope="module")
def cluster(kafka_broker: KafkaBroker) -> Iterator[KafkaCluster]:  # noqa: ARG001 - says why not
    with KafkaCluster() as cluster:
        yield cluster
    assert not any(node.is_running for node in cluster.nodes.values())


def wait_for_leader(cluster: KafkaCluster, topic: str, node: KafkaNode) -> None:
    """The administrator asks any node, and one may hear of an election later than another."""
    wait_until(lambda: cluster.leader(topic) is node, 20, f"node {node.number} to lead {topic}")


def wait_for_partitions(cluster: KafkaCluster, topic: str, number: int) -> None:
    """The administrator may ask a node that has not heard of them yet."""
    wait_until(lambda: cluster.admin.partitions(topic) == number, 20, f"{number} of {topic}")


def test_a_topic_has_three_replicas_and_as_many_partitions_as_wanted(cluster: KafkaCluster) -> None:
    cluster.create_topic("spread", 2)
    wait_for_partitions(cluster, "spread", 2)
    assert sorted(cluster.admin.replicas("spread")) == [1, 2, 3]
    cluster.admin.add_partitions("spread", 3)
    wait_for_partitions(cluster, "spread", 3)
    kcat.produce(cluster.bootstrap, "by-itself", b"first")
    wait_for_partitions(cluster, "by-itself", 1)
    assert sorted(cluster.admin.replicas("by-itself")) == [1, 2, 3]


def test_another_node_leads_when_the_leader_is_killed_and_it_leads_again_when_asked(
    cluster: KafkaCluster,
) -> None:
    cluster.create_topic("led")
    kcat.produce(cluster.bootstrap, "led", b"one")
    first = cluster.leader("led")
    first.kill()
    wait_until(lambda: cluster.admin.leader("led") not in {None, first.number}, 20, "a new leader")
    kcat.produce(cluster.bootstrap, "led", b"two")
    first.start()
    assert cluster.leader("led") is not first
    cluster.admin.elect_preferred_leader("led")
    wait_for_leader(cluster, "led", first)
    assert kcat.consume(cluster.bootstrap, "led", 2) == [b"one", b"two"]


def test_a_frozen_node_is_left_out_until_it_runs_on(cluster: KafkaCluster) -> None:
    cluster.create_topic("frozen")
    first = cluster.leader("frozen")
    first.pause()
    try:
        wait_until(
            lambda: cluster.admin.leader("frozen") not in {None, first.number}, 30, "a new leader"
        )
    finally:
        first.resume()
    cluster.admin.elect_preferred_leader("frozen")
    wait_for_leader(cluster, "frozen", first)


def test_records_go_and_topics_too(cluster: KafkaCluster) -> None:
    admin = cluster.admin
    cluster.create_topic("short", config={"segment.ms": "60000"})
    kcat.produce(cluster.bootstrap, "short", b"1", b"2", b"3")
    assert admin.offsets("short") == (0, 3)
    admin.delete_records("short", before=2)
    assert admin.offsets("short") == (2, 3)
    admin.configure_topic("short", {"retention.ms": "1000"})
    with pytest.raises(KafkaException, match="retention"):
        admin.configure_topic("short", {"retention.ms": "soon"})
    admin.delete_topic("short")
    assert admin.partitions("short") == 0
    cluster.create_topic("short")
    assert admin.offsets("short") == (0, 0)
