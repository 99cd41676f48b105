"""Writes `docs/reference/compatibility.md` from what was asked and run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TypeAlias

from queueconnector_core.dataspec import dtype_literal

from .combinations import SINKS, SOURCES
from .ends import ENCODINGS, LABEL, SinkEnd, SourceEnd
from .runner import Case
from .table import DTYPES, SHAPES, Row
from .world import ROOT

__all__ = ("PAGE", "render")

PAGE = ROOT / "docs/reference/compatibility.md"

HEAD = """\
# Compatibility

Which dtype, in which shape, goes through which source, sink and encoding. This page is written by
running every combination, source by source and sink by sink, against Apache Kafka and Tango device
servers: `python -m tests.matrix --write`; the tests fail when it says anything else than the run.
`make matrix` runs all sources with all sinks.

- ✓: values went in at one far end and came out at the other, equal in value, dtype and shape, not
  transposed: the extremes of each dtype, NaN, infinities, negative zero, `NaT`, text in several
  scripts, empty text and empty arrays. The far ends know nothing of this project: librdkafka, plain
  Tango devices and proxies, and `json`, `repr`, `msgpack` with `msgpack-numpy`, `numpy.save`,
  `ndarray.tobytes`.
- A number: refused when the configuration is read, with the [message](#messages) of that number.
  Nothing that is accepted fails later because of its dtype, shape or encoding.

A shape of `-1` is any size, `[0]` an array that is always empty. `structured` stands for fields of
text (`U8`), of `float64` and of sub-arrays (`float64`, `[3]`); `pointing` for the fields
`antenna_name`, `ts` (`datetime64[ns]`), `az` and `el`.

What depends on the value, not on its type, is a record error: text that is not ASCII in `ascii`,
octets with another label than that of the sink, text with U+0000 in Tango, and NaN or infinity
written to an attribute of another device (`TangoRemoteAttributeSink`) where the control system does
not allow these (property `CtrlSystem/WAttrNaNAllowed`). An image without rows has no columns either
in Tango: clients see 0 × 0; a source gives it the width of the exchange.
`TangoObjectScatterAttributeSink` takes whatever its JMESPath finds: the table shows whole records
where Tango has the dtype, else their fields, items or text.
"""

End: TypeAlias = SourceEnd | SinkEnd
Outcomes: TypeAlias = Mapping[tuple[End, Row], str]


def render(refused: Mapping[Case, str]) -> str:
    """The page; every combination that is not refused is one that worked."""
    page = _Page(
        {
            (end, case.row): _general(case.row, text)
            for case, text in refused.items()
            for end in _proven_by(case)
        }
    )
    parts = [HEAD, "## Sources\n"]
    parts += [page.section(end) for end in SOURCES if not end.kind.startswith("Kafka")]
    parts.append("`KafkaConsumerSource`: see [encodings](#encodings).\n\n## Sinks\n")
    parts += [page.section(end) for end in SINKS if not end.kind.startswith("Kafka")]
    parts.append("`KafkaProducerSink`: see [encodings](#encodings).\n\n## Encodings\n")
    parts.append("They are the same for `KafkaConsumerSource` and `KafkaProducerSink`.\n")
    parts += [page.encoding(name) for name in (*ENCODINGS, LABEL, "")]
    return "\n".join([*parts, "## Messages\n", *page.messages()])


def _proven_by(case: Case) -> list[End]:
    """The ends that a case says something about: in-memory ends take and give everything."""
    (sink,) = case.sinks
    ends: list[End] = [case.source] if sink == SINKS[0] else []
    return [*ends, sink] if case.source == SOURCES[0] else ends


def _general(row: Row, message: str) -> str:
    """The message without what it says of this dtype and shape."""
    path, _, text = message.partition(": ")
    dtype = re.escape(str(dtype_literal(row.dtype)))
    text = re.sub(rf"\b(dtype |not |for |found ){dtype}(\[[-\d, ]*\])?", r"\1TYPE", _escape(text))
    text = re.sub(r"found \[[-\d, ]*\]", "found SHAPE", text)
    text = re.sub(r"found shape \[[-\d, ]*\]", "found shape SHAPE", text)
    text = re.sub(r"encodings for TYPE: .*", "encodings for TYPE: …", text)
    last = path.rpartition(".")[2]
    return text if last in {"source", "sink", "shape", "dtype"} else f"{last}: {text}"


def _escape(text: str) -> str:
    return text.replace(LABEL, "LABEL")


class _Page:
    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._told: dict[str, list[str]] = {}

    def section(self, end: End) -> str:
        """The table of a source or sink."""
        return f"### {end.kind}\n\n{self._table([end], end.kind)}"

    def encoding(self, name: str) -> str:
        """The table of an encoding."""
        every: list[End] = [*SOURCES, *SINKS]
        ends = [end for end in every if end.kind.startswith("Kafka") and end.encoding == name]
        title = {LABEL: "Any other label", "": "None given"}.get(name, f"`{name}`")
        return f"### {title}\n\n{self._table(ends, f'encoding {title}')}"

    def _table(self, ends: list[End], place: str) -> str:
        """One line for neighbouring dtypes of equal fate; all ends have the same."""
        lines = [(name, self._cells(ends, name, place)) for name in DTYPES]
        head = ["dtype", *(f"`{list(shape)}`" for shape in SHAPES)]
        table = [head, ["---"] + [":-:"] * len(SHAPES)]
        for cells, group in groupby(lines, lambda line: line[1]):
            names = [name for name, _ in group]
            shown = "all" if len(names) == len(DTYPES) else ", ".join(f"`{n}`" for n in names)
            table.append([shown, *cells])
        return "".join(f"| {' | '.join(line)} |\n" for line in table)

    def _cells(self, ends: list[End], name: str, place: str) -> list[str]:
        rows = [Row(name, shape) for shape in SHAPES]
        return [
            self._cell({self._outcomes.get((end, row), "") for end in ends}, place) for row in rows
        ]  # fmt: skip

    def _cell(self, messages: set[str], place: str) -> str:
        assert len(messages) == 1, f"the ends of an encoding differ: {messages}"
        (message,) = messages
        if not message:
            return "✓"
        places = self._told.setdefault(message, [])
        if place not in places:
            places.append(place)
        return str(list(self._told).index(message) + 1)

    def messages(self) -> Iterable[str]:
        """All messages by number."""
        yield "TYPE and SHAPE stand for what the configuration says; the place is told as well.\n"
        for number, (message, places) in enumerate(self._told.items(), 1):
            # What is refused before any end is asked is refused everywhere.
            where = "everywhere" if "InMemorySink" in places else ", ".join(places)
            yield f"{number}. `{message}` ({where})"
        yield ""
