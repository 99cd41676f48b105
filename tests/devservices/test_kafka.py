"""A real Kafka starts, serves, keeps its data over a stop and a crash, and leaves nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from devservices import ServiceFailed, ServiceUnavailable, kcat
from devservices.kafka import KafkaBroker
from devservices.kafka_jars import KAFKA_VERSION, kafka_jars
from devservices.process import is_listening, wait_until


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        yield broker
    assert not broker.is_running
    assert not is_listening(broker.port)


def test_a_topic_gets_the_partitions_asked_for(broker: KafkaBroker) -> None:
    broker.create_topic("three", partitions=3)
    assert broker.admin.partitions("three") == 3
    with pytest.raises(KafkaException, match="already exists"):
        broker.create_topic("three")


def test_a_topic_is_made_by_its_first_use(broker: KafkaBroker) -> None:
    kcat.produce(broker.bootstrap, "automatic", b"first")
    assert kcat.consume(broker.bootstrap, "automatic", 1) == [b"first"]
    assert broker.admin.partitions("automatic") == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_and_address_outlive_the_end_by(broker: KafkaBroker, end: str) -> None:
    topic = f"kept-{end}"
    broker.create_topic(topic)
    kcat.produce(broker.bootstrap, topic, b"one", b"two")
    address = broker.bootstrap
    getattr(broker, end)()
    assert not broker.is_running
    assert not is_listening(broker.port)
    broker.start()
    assert broker.bootstrap == address
    kcat.produce(broker.bootstrap, topic, b"three")
    assert kcat.consume(broker.bootstrap, topic, 3) == [b"one", b"two", b"three"]


def test_a_paused_broker_answers_again_when_resumed(broker: KafkaBroker) -> None:
    broker.pause()
    assert not broker.admin.answers()
    broker.resume()
    wait_until(broker.admin.answers, 20, "an answer after the pause")


def test_settings_reach_the_broker_and_a_wrong_one_is_reported() -> None:
    broker = KafkaBroker(settings={"num.network.threads": "none"})
    with pytest.raises(ServiceFailed, match=r"num\.network\.threads"):
        broker.start()
    assert not broker.is_running


def test_without_java_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServiceUnavailable, match=r"no java on PATH.*install Java 17"):
        KafkaBroker().start()


def test_without_maven_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUEUECONNECTOR_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServiceUnavailable, match=r"no mvn on PATH.*install Maven"):
        kafka_jars()
    assert not (tmp_path / f"kafka-{KAFKA_VERSION}").exists()


def test_two_processes_fill_an_empty_cache_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUEUECONNECTOR_CACHE", str(tmp_path))
    script = "from devservices.kafka_jars import kafka_jars; print(kafka_jars())"
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = {process.communicate(timeout=100)[0].strip() for process in both}
    expected = tmp_path / f"kafka-{KAFKA_VERSION}"
    assert found == {str(expected)}
    assert (expected / f"kafka_2.13-{KAFKA_VERSION}.jar").is_file()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [expected.name]
