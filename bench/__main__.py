"""`python -m bench`: run all benchmarks; exit code 1 when a goal was missed."""

from __future__ import annotations

import argparse
import platform
import sys

from bench.in_memory import in_memory
from bench.kafka_copy import kafka_copy

__all__ = ("main",)


def main(arguments: list[str] | None = None) -> int:
    """Print a table and a JSON line per case."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case (default 5)")
    parser.add_argument(
        "--records", type=int, default=100_000, help="records a round (default 100,000)"
    )
    parser.add_argument("--size", type=int, default=1024, help="bytes a record (default 1024)")
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, Python {platform.python_version()}; ratios to the first case")
    missed = []
    for benchmark in (in_memory, kafka_copy):
        comparison = benchmark(options.records, options.size, options.rounds)
        print(f"\n{comparison.table()}\n", *comparison.lines(), sep="\n", flush=True)
        missed += [f"{comparison.name}: {case}" for case in comparison.missed]
    for case in missed:
        print(f"goal missed: {case}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
