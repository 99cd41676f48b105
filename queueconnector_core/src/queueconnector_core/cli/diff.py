"""`queueconnector diff`: what two recordings do not have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.problems import EXIT_FAULT, told
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.recording.container import Recording, RecordingError
from queueconnector_core.recording.difference import COMPARED, Difference, differences

__all__ = ("diff",)

SHOWN = 20
"""So many differences stand in a report for people, and in that for programs."""


@attrs.define
class _Tally:
    """How many differences there are, and the first of them."""

    counts: Counter[str] = attrs.field(factory=Counter)
    first: list[Difference] = attrs.field(factory=list)

    def add(self, difference: Difference) -> None:
        self.counts[difference.what] += 1
        if len(self.first) < SHOWN:
            self.first.append(difference)


def diff(
    one: Path,
    other: Path,
    /,
    *,
    ignore: Annotated[list[str] | None, Parameter(negative=())] = None,
    time_tolerance_s: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Compare two recordings: count, order, values, and all that is known of each record.

    Exit codes: 0 when they are the same, 1 when they differ, 2 when a file is no recording.

    Parameters
    ----------
    one
        A file that `queueconnector record` has written.
    other
        The one to compare it with.
    ignore
        What may differ: value, time, time_origin, quality, key, headers, position, source, event,
        sequence; may be given again.
    time_tolerance_s
        Times may differ by so many seconds.
    as_json
        Print an object: whether they are the same, how often what differs, and the first ones.
    """

    def command() -> int:
        ignored = frozenset(ignore or ())
        for name in sorted(ignored.difference(COMPARED)):
            text = f"found {name!r}; allowed: {', '.join(COMPARED)}"
            raise ConfigError.at("--ignore", text)
        tally = _Tally()
        tolerance_ns = round(time_tolerance_s * 1e9)
        with _opened(one) as mine, _opened(other) as yours:
            try:
                for found in differences(
                    mine, yours, ignored=ignored, time_tolerance_ns=tolerance_ns
                ):
                    tally.add(found)
            except RecordError as error:
                raise ConfigError.at("", str(error)) from None
        (_print_json if as_json else _print)(tally, (one, other))
        return EXIT_FAULT if tally.counts else 0

    return told(command)


@contextmanager
def _opened(path: Path) -> Iterator[Recording]:
    try:
        recording = Recording(path)
    except (OSError, RecordingError) as error:
        raise ConfigError.at("", f"cannot read {path}: {error}") from None
    try:
        yield recording
    finally:
        recording.close()


def _print(tally: _Tally, paths: Sequence[Path]) -> None:
    if not tally.counts:
        print("the same")
        return
    print(f"- {paths[0]}\n+ {paths[1]}")
    for found in tally.first:
        print(f"record {found.index}, {found.what}:\n- {found.one}\n+ {found.other}")
    total = ", ".join(f"{name} {count}" for name, count in tally.counts.items())
    print(f"{tally.counts.total()} differences: {total}")


def _print_json(tally: _Tally, _paths: Sequence[Path]) -> None:
    document = {
        "same": not tally.counts,
        "counts": dict(tally.counts),
        "first": [attrs.asdict(found) for found in tally.first],
    }
    print(json.dumps(document, indent=2))
