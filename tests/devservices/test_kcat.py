"""The wrappers around kcat pass any octets and never wait for ever."""

import pytest

from devservices import ServiceFailed, ServiceUnavailable, kcat
from devservices.kafka import KafkaBroker

VALUES = [b"a\nb", b"\x00\xff", b"7 looks like a length", b"x" * 100_000]


def test_any_octets_survive_and_offsets_count(kafka_broker: KafkaBroker) -> None:
    kcat.produce(kafka_broker.bootstrap, "kcat-octets", *VALUES, key=b"key")
    assert kcat.consume(kafka_broker.bootstrap, "kcat-octets", 4) == VALUES
    assert kcat.consume(kafka_broker.bootstrap, "kcat-octets", 2, offset=2) == VALUES[2:]


def test_too_few_messages_are_an_error_that_shows_those_that_came(
    kafka_broker: KafkaBroker,
) -> None:
    kcat.produce(kafka_broker.bootstrap, "kcat-few", b"only one")
    with pytest.raises(ServiceFailed, match="not done in 2 s; so far b'8 only one'"):
        kcat.consume(kafka_broker.bootstrap, "kcat-few", 2, timeout_s=2)


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ValueError, match="kcat cannot send an empty message"):
        kcat.produce("127.0.0.1:1", "topic", b"")


def test_without_kcat_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServiceUnavailable, match="apt-get install kcat"):
        kcat.kcat_version()
