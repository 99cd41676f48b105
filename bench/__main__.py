"""`python -m bench`: run all benchmarks; exit code 1 when a goal was missed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Mapping

from bench.codecs import codecs
from bench.in_memory import in_memory
from bench.kafka_copy import kafka_copy
from bench.measure import Comparison, grid

__all__ = ("main",)

BENCHMARKS: Mapping[str, Callable[[argparse.Namespace], list[Comparison]]] = {
    "in-memory": lambda given: [in_memory(given.records, given.size, given.rounds)],
    "kafka-copy": lambda given: [kafka_copy(given.records, given.size, given.rounds)],
    "codecs": lambda given: codecs(given.rounds),
}


def main(arguments: list[str] | None = None) -> int:
    """Print a table and a JSON line per case."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case (default 5)")
    parser.add_argument(
        "--records", type=int, default=100_000, help="records a round (default 100,000)"
    )
    parser.add_argument("--size", type=int, default=1024, help="bytes a record (default 1024)")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="leave out others")
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, Python {platform.python_version()}; ratios to the first case")
    missed = []
    for name in options.only or BENCHMARKS:
        comparisons = BENCHMARKS[name](options)
        text = comparisons[0].table() if len(comparisons) == 1 else grid(comparisons)
        lines = [line for comparison in comparisons for line in comparison.lines()]
        print(f"\n{text}\n", *lines, sep="\n", flush=True)
        missed += [f"{found.name}: {case}" for found in comparisons for case in found.missed]
    for case in missed:
        print(f"goal missed: {case}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
