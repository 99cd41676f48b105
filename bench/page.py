"""The JSON lines of a run as Markdown: the goals with their verdicts, and every case."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from bench.measure import word

__all__ = ("ROWS", "markdown", "write_into")

MANY: Final = 3
"""More benchmarks in a row than that share one table, if they have the same two cases."""

Line = Mapping[str, Any]

ROWS: Final = {
    1: "Kafka to Kafka, 1 KiB, at least once: CPU per record",
    2: "the same: records per second",
    3: "the same, beside FastStream and Quix Streams",
    4: "Kafka to Kafka, 100 KiB: CPU per record",
    5: "Kafka to Kafka: latency at 1,000 records per second",
    6: "in memory, record by record and in batches of 100",
    7: "Tango event to Kafka, a burst",
    8: "Kafka to Tango attribute",
    9: "reading an attribute",
    10: "reading while the device pushes",
    11: "encodings",
    12: "no loss without a sign",
    13: "1,000 exchanges on one device, 100 Kafka exchanges",
    14: "1,000 attributes configured anew, half of them kept",
}
"""The goals that are written down, by their number."""

BEGIN: Final = "<!-- from `python -m bench --markdown`: begin -->"
END: Final = "<!-- from `python -m bench --markdown`: end -->"


def markdown(lines: Sequence[Line]) -> str:
    """The page of a run, or of several that were made one after another."""
    parts = [_machine(lines), _goals(lines), *_cases(lines)]
    return "\n\n".join(filter(None, parts)) + "\n"


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the marks of a page, or the whole of it where there are none."""
    page = path.read_text() if path.exists() else ""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        text = f"{before}{BEGIN}\n\n{text}\n{END}{after}"
    path.write_text(text)


def _machine(lines: Sequence[Line]) -> str:
    machines = [line["machine"] for line in lines if "machine" in line]
    return "\n".join(f"- {name}: {text}" for each in machines[-1:] for name, text in each.items())


def _goals(lines: Sequence[Line]) -> str:
    rows = []
    for row, title in ROWS.items():
        told = [line for line in lines if line.get("row") == row]
        rows += [(row, title, *_goal(line)) for line in told] or [
            (row, title, "", "", "", "not measured in this run")
        ]
    return _table(("#", "what", "case", "goal", "found", "verdict"), rows)


def _goal(line: Line) -> tuple[str, ...]:
    found = "" if line["found"] is None else f"{line['found']:.3g}"
    return f"{line['benchmark']}: {line['case']}", line["goal"], found, word(line["met"])


def _cases(lines: Sequence[Line]) -> Iterator[str]:
    """A table for each benchmark, or one for many in a row that have the same two cases."""
    told = [line for line in lines if "benchmark" in line]
    named = [list(group) for _, group in itertools.groupby(told, key=itemgetter("benchmark"))]
    for cases, group in itertools.groupby(named, key=_names):
        similar = list(group)
        if len(similar) > MANY:
            yield f"### {len(similar)} times {' and '.join(cases)}\n\n{_pairs(similar)}"
        else:
            yield from (_one(of_one) for of_one in similar if cases)


def _names(of_one: Sequence[Line]) -> tuple[str, ...]:
    return tuple(line["case"] for line in of_one if "rate" in line)


def _pairs(similar: Sequence[Sequence[Line]]) -> str:
    first, second = _names(similar[0])
    rows = []
    for of_one in similar:
        base, case, *_ = of_one
        each_us = (f"{line['cpu_us']:,.2f}" for line in (base, case))
        less = base["cpu_us"] / max(case["cpu_us"], 1e-3)
        rows.append((base["benchmark"], *each_us, f"{less:.1f}"))
    return _table(("", f"{first}: CPU us", f"{second}: CPU us", "less x"), rows)


def _one(of_one: Sequence[Line]) -> str:
    notes = "".join(f"\n\n{line['note']}" for line in of_one if "note" in line)
    cases = [line for line in of_one if "rate" in line]
    return f"### {of_one[0]['benchmark']}\n\n{_figures(cases)}{notes}"


def _figures(cases: Sequence[Line]) -> str:
    usual = {"benchmark", "case", "records", "rounds", "rate", "cpu_us", "rate_ratio", "cpu_ratio"}
    more = list(dict.fromkeys(name for line in cases for name in line if name not in usual))
    rows = [
        (
            line["case"],
            f"{line['rate']:,.0f}",
            f"{line['cpu_us']:,.2f}",
            f"{line['rate_ratio']:.2f}",
            f"{line['cpu_ratio']:.2f}",
            *(f"{line[name]:.4g}" if name in line else "" for name in more),
        )
        for line in cases
    ]
    return _table(("case", "records/s", "CPU us", "rate x", "CPU x", *more), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
