"""`python -m bench.profile_copy [RECORDS [SIZE]]`: where a copy from Kafka to Kafka spends time.

Prints the share of each package in the processor time, and the dearest functions. Only the copying
is profiled, not the start. The profiler makes many small calls look dearer than they are.
"""

from __future__ import annotations

import cProfile
import pstats
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.copying import Contestant, Task, exchange, field
from devservices.process import temporary_directory

__all__ = ("main",)

WAITING: Final = "select.epoll"
FUNCTIONS: Final = 20


def main() -> None:
    """Profile one copy, and print it; or be the profiled program."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--inside"]:
        _inside(Path(arguments[1]), arguments[2:])
        return
    records, size_bytes = (int(given) for given in (*arguments, "60000", "1024")[:2])
    ours, path = exchange("profiled exchange"), temporary_directory("profile") / "profile"

    def command(task: Task) -> list[str]:
        program = [sys.executable, "-m", "bench.profile_copy", "--inside", str(path)]
        return [*program, *ours.command(task)[1:]]

    with field() as ground:
        ground.copy(Contestant(ours.name, command), records, size_bytes, profile=path)
    _print(pstats.Stats(str(path)), records)


def _inside(path: Path, arguments: list[str]) -> None:
    """Run the command line; profile from the first signal to the second."""
    from queueconnector_core.cli import main as command_line

    profile = cProfile.Profile()

    def end(*_: object) -> None:
        profile.disable()
        part = path.with_suffix(".part")
        profile.dump_stats(part)
        part.rename(path)

    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["queueconnector", *arguments]
    command_line()


def _print(stats: pstats.Stats, records: int) -> None:
    found = {
        place: own_s
        for place, (_, _, own_s, _, _) in stats.stats.items()  # type: ignore[attr-defined]
        if WAITING not in place[2]
    }
    total_s = sum(found.values())
    print(f"{1e6 * total_s / records:.1f} us of {records} records each, with the profiler")
    packages = Counter[str]()
    for place, own_s in found.items():
        packages[_package(place)] += own_s
    _table(packages.items(), total_s)
    print()
    named = ((f"{_package(place)}: {place[2]}", own_s) for place, own_s in found.items())
    _table(sorted(named, key=lambda each: -each[1])[:FUNCTIONS], total_s)


def _package(place: tuple[str, int, str]) -> str:
    if place[0] == "~":
        return "sockets" if "_socket" in place[2] else "built-in"
    match = re.search(r"(aiokafka/\w+|queueconnector_\w+|asyncio)(?=/)", place[0])
    return match[1] if match else "others"


def _table(rows: Iterable[tuple[str, float]], total_s: float) -> None:
    for name, own_s in sorted(rows, key=lambda each: -each[1]):
        print(f"{100 * own_s / total_s:5.1f} %  {name}")


if __name__ == "__main__":
    main()
