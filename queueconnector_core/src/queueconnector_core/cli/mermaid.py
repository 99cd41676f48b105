"""A picture as text for Mermaid, which many sites and editors draw."""

from __future__ import annotations

from collections.abc import Iterator

from queueconnector_core.cli.picture import Arrow, Box, Picture

__all__ = ("mermaid",)

_SHAPES = {
    "source": ("([", "])"),
    "pipe": ("[", "]"),
    "sink": ("[/", "/]"),
    "exchange": ("((", "))"),
}
_DANGEROUS = frozenset('&"<>#`;\\')


def mermaid(picture: Picture) -> str:
    """A flow chart from left to right, with a subgraph for each group."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart LR"
    for number, (group, boxes) in enumerate(picture.groups.items(), 1):
        yield f'  subgraph g{number}["{_escaped(group)}"]'
        for box in boxes:
            yield f"    {_box(box)}"
        yield "  end"
    for arrow in picture.arrows:
        yield f"  {_arrow(arrow)}"
    aside = [box.name for boxes in picture.groups.values() for box in boxes if box.is_aside]
    if aside:
        yield "  classDef aside stroke-dasharray: 5 5"
        yield f"  class {','.join(aside)} aside"


def _box(box: Box) -> str:
    left, right = _SHAPES.get(box.kind, ("[", "]"))
    return f'{box.name}{left}"{"<br>".join(map(_escaped, box.lines))}"{right}'


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.is_aside else "-->"
    return f'{arrow.begin} {line}|"{_escaped(arrow.text)}"| {arrow.end}'


def _escaped(text: str) -> str:
    """Text that Mermaid takes for nothing else; control characters cannot be shown."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return "".join(f"#{ord(letter)};" if letter in _DANGEROUS else letter for letter in shown)
