"""`python -m bench`: all cases side by side; exit code 1 when a goal was missed.

A benchmark is one line in `BENCHMARKS`: a function from `Options` to `Comparison`s.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench import machine, page
from bench.measure import Comparison, Options, grid

__all__ = ("BENCHMARKS", "main")

Benchmark = Callable[[Options], list[Comparison]]

BENCHMARKS: Final = {
    "in-memory": "bench.in_memory:benchmark",
    "codecs": "bench.codecs:benchmark",
    "start-up": "bench.start_up:benchmark",
    "kafka-copy": "bench.kafka_copy:benchmark",
    "confluent-copy": "bench.confluent_copy:benchmark",
    "kafka-to-tango": "bench.kafka_to_tango:benchmark",
    "tango-to-kafka": "bench.tango_to_kafka:benchmark",
    "attribute-reads": "bench.attribute_reads:benchmark",
    "scale": "bench.scale:benchmark",
    "peers": "bench.peers.benchmark:benchmark",
}
"""Module and function by name; a module is imported when its benchmark is to run."""

ONLY_WHEN_ASKED: Final = frozenset({"peers"})
"""Those that fetch what is not part of the development environment."""

MANY: Final = 12
"""More comparisons than that, of two cases each, are told on a line each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks; print tables and JSON lines."""
    given = _parser().parse_args(arguments)
    told: list[dict[str, Any]] = [line for path in given.beside for line in _read(path)]
    told.append({"machine": machine.described()})
    print(*(f"{name}: {text}" for name, text in told[-1]["machine"].items()), sep="\n")
    missed = 0
    for name in given.only or _usual(given.peers):
        comparisons = _benchmark(name)(Options(given.rounds, given.records))
        lines = [line for comparison in comparisons for line in comparison.lines()]
        print("", *_tables(comparisons), sep="\n", flush=True)
        if given.json is None:
            print("", *lines, sep="\n", flush=True)
        told += map(json.loads, lines)
        missed += sum(len(comparison.missed) for comparison in comparisons)
    print(f"\nload after: {machine.load()}; goals missed: {missed}")
    if given.json is not None:
        given.json.write_text("".join(f"{_json(line)}\n" for line in told))
    if given.markdown is not None:
        page.write_into(given.markdown, page.markdown(told))
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case (default 5)")
    parser.add_argument(
        "--records", type=int, default=100_000, help="records a round (default 100,000)"
    )
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="leave out others")
    parser.add_argument(
        "--peers", action="store_true", help="also the peers; their environments go to .bench/"
    )
    parser.add_argument("--json", type=Path, help="write the JSON lines to this file")
    parser.add_argument(
        "--markdown", type=Path, help="write the results into this page, between its marks"
    )
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        help="JSON lines of an earlier run, whose results go into the page too",
    )
    return parser


def _usual(peers: bool) -> list[str]:
    return [name for name in BENCHMARKS if peers or name not in ONLY_WHEN_ASKED]


def _benchmark(name: str) -> Benchmark:
    module, _, function = BENCHMARKS[name].partition(":")
    found: Benchmark = getattr(importlib.import_module(module), function)
    return found


def _tables(comparisons: Sequence[Comparison]) -> list[str]:
    """One table for many pairs, such as those of the encodings, or one each."""
    if len(comparisons) > MANY:
        missed = [f"{each.name}: {text}" for each in comparisons for text in each.missed]
        return [grid(comparisons), *(f"MISSED {text}" for text in missed)]
    return [f"{each.table()}\n" for each in comparisons]


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
