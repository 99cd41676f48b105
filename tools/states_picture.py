"""Draws the states of a group and the moves between them, from the table in `states`.

Where boxes stand and how arrows run is laid out here by hand; which moves there are, and what makes
them, is the table's: a move without a way, and a way without a move, is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from queueconnector_core.states import TRANSITIONS, State, Transition, Trigger

__all__ = ("picture",)

WIDTH, HEIGHT = 900, 530
BOX_WIDTH, BOX_HEIGHT = 120, 46
LETTER = 7.6
"""The width of a letter of a label, about."""

CENTRES: Final[Mapping[State, tuple[int, int]]] = {
    State.INIT: (110, 80),
    State.STANDBY: (110, 250),
    State.OFF: (350, 250),
    State.OPEN: (590, 250),
    State.ON: (790, 250),
    State.CLOSE: (590, 80),
    State.FAULT: (470, 495),
}

COLOURS: Final[Mapping[State, str]] = {
    State.ON: "#bfe6c6",
    State.FAULT: "#f6c3c0",
    State.OPEN: "#fbe6b0",
    State.CLOSE: "#fbe6b0",
}
"""What is on its way is yellow; all else is blue."""


class Way(NamedTuple):
    """How an arrow runs, as the path of an SVG, and where the middle of its label is."""

    path: str
    label: tuple[int, int]


WAYS: Final[Mapping[tuple[State, State], Way]] = {
    (State.INIT, State.STANDBY): Way("M110 103V225", (110, 165)),
    (State.STANDBY, State.OFF): Way("M170 240H288", (229, 226)),
    (State.OFF, State.STANDBY): Way("M290 260H172", (231, 276)),
    (State.OFF, State.OFF): Way("M330 227C300 160 390 160 372 225", (346, 160)),
    (State.OFF, State.OPEN): Way("M410 240H528", (469, 226)),
    (State.OPEN, State.OFF): Way("M530 260H412", (471, 276)),
    (State.OPEN, State.OPEN): Way("M550 273C530 330 610 330 592 275", (562, 322)),
    (State.OPEN, State.ON): Way("M650 240H728", (690, 226)),
    (State.ON, State.OPEN): Way("M730 260H652", (692, 276)),
    (State.OPEN, State.CLOSE): Way("M590 227V105", (590, 165)),
    (State.ON, State.CLOSE): Way("M790 227C790 130 740 80 652 80", (762, 120)),
    (State.CLOSE, State.OFF): Way("M530 80C440 80 405 150 392 225", (438, 110)),
    (State.ON, State.OFF): Way("M800 273C800 395 400 395 372 275", (660, 361)),
    (State.FAULT, State.OFF): Way("M410 490C340 470 325 390 345 275", (336, 430)),
    (State.FAULT, State.OPEN): Way("M530 485C600 465 645 390 622 275", (624, 430)),
}

FAILED: Final = Way("M470 391V469", (470, 430))
"""From the frame around all other states to FAULT."""

STYLE: Final = """\
<style>
text{font:600 15px system-ui,sans-serif;text-anchor:middle;dominant-baseline:central;fill:#14202b}
.word{font-weight:500;font-size:13px}
.self{font-style:italic}
.box{stroke:#3f5d7a;stroke-width:1.5}
.pill{fill:#e9edf1}
.arrow{fill:none;stroke:#7f8c99;stroke-width:2;marker-end:url(#tip)}
.frame{fill:none;stroke:#7f8c99;stroke-width:1.5;stroke-dasharray:6 5}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0L8 4L0 8z" fill="#7f8c99"/></marker></defs>"""


def picture() -> str:
    """The picture, as the text of an SVG file."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>States of a group</title>",
        STYLE,
        *_frame(),
    ]
    triggers: dict[tuple[State, State], list[Trigger]] = defaultdict(list)
    for move in TRANSITIONS:
        if not _is_failure(move):
            triggers[move.source, move.target].append(move.trigger)
    if triggers.keys() != WAYS.keys():
        raise ValueError(f"moves and ways differ: {triggers.keys() ^ WAYS.keys()}")
    lines += [f'<path class="arrow" d="{way.path}"/>' for way in (*WAYS.values(), FAILED)]
    for ends, names in triggers.items():
        lines += _label(WAYS[ends].label, names)
    lines += _label(FAILED.label, [Trigger.FAILED])
    for state, centre in CENTRES.items():
        lines += _box(state, centre)
    return "\n".join((*lines, "</svg>")) + "\n"


def _is_failure(move: Transition) -> bool:
    return move.trigger is Trigger.FAILED and move.target is State.FAULT


def _frame() -> Iterator[str]:
    """One arrow for all failures: each state but FAULT has one."""
    failing = {move.source for move in TRANSITIONS if _is_failure(move)}
    if failing != set(State) - {State.FAULT}:
        raise ValueError(f"the frame is around all states but FAULT; failing are {failing}")
    yield '<rect class="frame" x="20" y="20" width="860" height="370" rx="14"/>'


def _label(centre: tuple[int, int], triggers: Sequence[Trigger]) -> Iterator[str]:
    x, y = centre
    words = ", ".join(trigger.value for trigger in triggers)
    width = len(words) * LETTER + 12
    style = "word self" if all(trigger.automatic for trigger in triggers) else "word"
    yield (
        f'<rect class="pill" x="{x - width / 2:g}" y="{y - 11}" width="{width:g}" height="22" '
        f'rx="11"/><text class="{style}" x="{x}" y="{y}">{words}</text>'
    )


def _box(state: State, centre: tuple[int, int]) -> Iterator[str]:
    x, y = centre
    colour = COLOURS.get(state, "#cfe2f5")
    yield (
        f'<rect class="box" fill="{colour}" x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
        f'<text x="{x}" y="{y}">{state.value}</text>'
    )
