"""The exchange beside peers that do the same copy, on the same broker, in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from bench import confluent_copy
from bench.copying import Contestant, Field, field
from bench.kafka_copy import EXCHANGE, GROUP, LOOP
from bench.measure import Comparison, Goal, Options, at_least, at_most, compare
from bench.peers.environments import Missing, benthos, mirror_maker, python_peer

__all__ = ("PEERS", "benchmark", "peers")

SINGLE: Final = "FastStream, record by record"
BATCH: Final = "FastStream, batch=True"
QUIX: Final = "Quix Streams"
BYTEWAX: Final = "Bytewax"

PEERS: Final[Mapping[str, tuple[Callable[[str], Contestant], int]]] = {
    SINGLE: (lambda name: python_peer(name, "faststream", "single"), 20),
    BATCH: (lambda name: python_peer(name, "faststream", "batch"), 1),
    QUIX: (lambda name: python_peer(name, "quixstreams"), 1),
    BYTEWAX: (lambda name: python_peer(name, "bytewax"), 1),
    "Kafka Connect (MirrorMaker 2)": (mirror_maker, 1),
    "Benthos 4.27 (Redpanda Connect)": (benthos, 1),
}
"""How each is had, and by what the number of its records is divided: some are slow."""


def benchmark(options: Options) -> list[Comparison]:
    """Records of 1 KiB; a peer that cannot be had is told, with the reason."""
    contestants = [(each, 1) for each in (LOOP, EXCHANGE, GROUP, confluent_copy.EXCHANGE)]
    notes = []
    for name, (get, divisor) in PEERS.items():
        try:
            contestants.append((get(name), divisor))
        except Missing as reason:
            notes.append(f"{name} could not be had here: {reason}")
            print(notes[-1])
    with field() as ground:
        return [peers(ground, options, contestants, notes)]


def peers(
    ground: Field, options: Options, contestants: list[tuple[Contestant, int]], notes: list[str]
) -> Comparison:
    """Copy with each contestant; what fails is left out, and told."""
    fit: list[tuple[Contestant, int]] = []
    for contestant, divisor in contestants:
        try:
            ground.copy(contestant, max(1, options.records // divisor // 10), 1024)
        except Exception as error:  # noqa: BLE001 - told
            first = str(error).splitlines()[0]
            notes.append(f"{contestant.name} did not copy: {first}")
            print(f"{notes[-1]}\n{error}")
        else:
            fit.append((contestant, divisor))
    return compare(
        f"Kafka to Kafka beside peers, {options.records:,} records of 1 KiB",
        [
            (each.name, partial(ground.copy, each, options.records // divisor, 1024))
            for each, divisor in fit
        ],
        options.rounds,
        _goals(),
        notes,
    )


def _goals() -> list[Goal]:
    return [
        at_least(10, "rate", EXCHANGE.name, beside=SINGLE, row=3),
        at_most(0.6, "cpu_us", EXCHANGE.name, beside=BATCH, row=3),
        at_least(1, "rate", EXCHANGE.name, beside=QUIX, row=2),
        at_least(0.8, "rate", EXCHANGE.name, beside=BYTEWAX),
        at_least(1, "rate", confluent_copy.EXCHANGE.name, beside=BYTEWAX),
    ]
