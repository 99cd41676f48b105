"""The library that the tests of the Kafka ends run over: the option `--kafka-client` of pytest."""

from __future__ import annotations

from typing import Final

__all__ = ("CLIENTS", "choose", "chosen")

CLIENTS: Final = ("aiokafka", "confluent")

_chosen: list[str] = [CLIENTS[0]]


def choose(client: str) -> None:
    """Let all tests run over this client."""
    _chosen[:] = [client]


def chosen() -> str:
    """The value of the option `client` in tests that do not say it themselves."""
    return _chosen[0]
