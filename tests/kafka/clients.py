"""The library that the tests of the Kafka ends run over: the option `--kafka-client` of pytest."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ("CLIENTS", "Client", "choose", "chosen")

Client = Literal["aiokafka", "confluent"]

CLIENTS: Final[tuple[Client, ...]] = ("aiokafka", "confluent")

_chosen: list[Client] = [CLIENTS[0]]


def choose(client: Client) -> None:
    """Let all tests run over this client."""
    _chosen[:] = [client]


def chosen() -> Client:
    """The value of the option `client` in tests that do not say it themselves."""
    return _chosen[0]
