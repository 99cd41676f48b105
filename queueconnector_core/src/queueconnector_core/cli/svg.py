"""A picture as SVG: columns from left to right, groups below each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import attrs

from queueconnector_core.cli.picture import Arrow, Box, Picture

__all__ = ("svg",)

LETTER: Final = 7.3
"""The width of a letter of the font, in pixels; rather too wide than too narrow."""
LINE: Final = 17
PAD: Final = 10
BETWEEN: Final = 24
GROUP_HEAD: Final = 30
FILLS: Final = {"source": "#dbeafe", "pipe": "#fef3c7", "sink": "#dcfce7", "exchange": "#f3f4f6"}


@attrs.frozen
class _Placed:
    """A box with its place, in pixels."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its middle."""
        return self.y + self.height / 2


def svg(picture: Picture) -> str:
    """A whole SVG document; it needs no other file, and fits light and dark pages."""
    columns = _columns(picture)
    lefts = _lefts(picture, columns)
    placed: dict[str, _Placed] = {}
    frames: list[tuple[str, float, float]] = []
    y = float(PAD)
    for group, boxes in picture.groups.items():
        top, y = y, y + GROUP_HEAD
        y = _place(boxes, columns, lefts, y, placed)
        frames.append((group, top, y - top))
        y += BETWEEN
    width = max((each.x + each.width for each in placed.values()), default=100.0) + 2 * PAD
    body = [*_frames(frames, width), *_arrows(picture.arrows, placed), *_boxes(placed.values())]
    return "\n".join([*_head(width, y), *body, "</svg>"]) + "\n"


def _columns(picture: Picture) -> dict[str, int]:
    """The column of each box: one more than that of the last box before it."""
    column = {box.name: 0 for boxes in picture.groups.values() for box in boxes}
    for _ in column:
        for arrow in picture.arrows:
            column[arrow.end] = max(column[arrow.end], column[arrow.begin] + 1)
    return column


def _width(texts: Iterable[str]) -> float:
    return max((len(text) for text in texts), default=0) * LETTER + 2 * PAD


def _lefts(picture: Picture, columns: dict[str, int]) -> list[float]:
    """Where each column begins: behind the widest box and the longest text on an arrow before."""
    boxes = [box for group in picture.groups.values() for box in group]
    lefts = [2.0 * PAD]
    for number in range(max(columns.values(), default=0)):
        texts = [line for box in boxes if columns[box.name] == number for line in box.lines]
        arrows = [arrow.text for arrow in picture.arrows if columns[arrow.end] == number + 1]
        lefts.append(lefts[-1] + _width(texts) + _width(arrows) + BETWEEN)
    return lefts


def _place(
    boxes: list[Box],
    columns: dict[str, int],
    lefts: list[float],
    top: float,
    placed: dict[str, _Placed],
) -> float:
    """Stack the boxes of a group in their columns, exchange below exchange; gives the lower end."""
    bottoms = dict.fromkeys(range(len(lefts)), top)
    exchange = ""
    for box in boxes:
        prefix = box.name.partition("_")[0]
        if prefix != exchange:
            exchange, lowest = prefix, max(bottoms.values())
            bottoms = dict.fromkeys(bottoms, lowest)
        column = columns[box.name]
        height = len(box.lines) * LINE + PAD
        placed[box.name] = _Placed(
            box, lefts[column], bottoms[column], _width(box.lines), float(height)
        )
        bottoms[column] += height + BETWEEN
    return max(bottoms.values())


def _head(width: float, height: float) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12">'
    )
    yield (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="#6b7280"/></marker>'
        "</defs>"
    )
    yield f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>'


def _frames(frames: Iterable[tuple[str, float, float]], width: float) -> Iterator[str]:
    for group, top, height in frames:
        yield (
            f'<rect x="{PAD / 2}" y="{top:.0f}" width="{width - PAD:.0f}" height="{height:.0f}" '
            'rx="6" fill="none" stroke="#9ca3af"/>'
        )
        yield _text(group, 2 * PAD, top + 19, 'font-weight="bold"')


def _boxes(placed: Iterable[_Placed]) -> Iterator[str]:
    for each in placed:
        dashes = ' stroke-dasharray="5 4"' if each.box.is_aside else ""
        fill = FILLS.get(each.box.kind, "white")
        yield (
            f'<rect x="{each.x:.0f}" y="{each.y:.0f}" width="{each.width:.0f}" '
            f'height="{each.height:.0f}" rx="5" fill="{fill}" stroke="#374151"{dashes}/>'
        )
        for number, line in enumerate(each.box.lines):
            bold = "" if number else 'font-weight="bold"'
            yield _text(line, each.x + PAD, each.y + PAD / 2 + (number + 0.75) * LINE, bold)


def _arrows(arrows: Iterable[Arrow], placed: dict[str, _Placed]) -> Iterator[str]:
    for arrow in arrows:
        begin, end = placed[arrow.begin], placed[arrow.end]
        x1, y1, x2, y2 = begin.x + begin.width, begin.middle, end.x, end.middle
        bend = (x2 - x1) / 2
        dashes = ' stroke-dasharray="5 4"' if arrow.is_aside else ""
        yield (
            f'<path d="M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} '
            f'{x2:.0f},{y2:.0f}" fill="none" stroke="#6b7280" marker-end="url(#tip)"{dashes}/>'
        )
        left = x2 - len(arrow.text) * LETTER - 2 * PAD
        yield _text(
            arrow.text,
            left,
            y2 - 5,
            'fill="#4b5563" stroke="white" stroke-width="3" paint-order="stroke"',
        )


def _text(text: str, x: float, y: float, more: str) -> str:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    label = f" aria-label={quoteattr(shown)}"
    return f'<text x="{x:.0f}" y="{y:.0f}"{label} {more}>{escape(shown)}</text>'
