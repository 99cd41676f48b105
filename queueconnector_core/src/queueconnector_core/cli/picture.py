"""A configuration as a picture: boxes for components, arrows for what flows, as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs

from queueconnector_core.cli.walking import planned_components
from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import placed
from queueconnector_core.hints import options_of
from queueconnector_core.plan import ComponentPlan, ExchangePlan, Plan
from queueconnector_core.registry import Registry

__all__ = ("Box", "Arrow", "Picture", "picture_of")

MAX_LETTERS = 40
"""What is longer is cut: a box shows what tells its component from others."""


@attrs.frozen
class Box:
    """A component, or the place where the sources of an exchange come together."""

    name: str
    """Letters and digits, once in the picture."""
    lines: tuple[str, ...]
    kind: str
    """source, pipe, sink or exchange."""
    is_aside: bool = False
    """What is not on the way of the records: dead letters, gaps."""


@attrs.frozen
class Arrow:
    """What flows from one box to another."""

    begin: str
    end: str
    text: str
    is_aside: bool = False


@attrs.define
class Picture:
    """Boxes by group, and the arrows between them."""

    groups: dict[str, list[Box]] = attrs.field(factory=dict)
    arrows: list[Arrow] = attrs.field(factory=list)


def picture_of(plan: Plan, registry: Registry) -> Picture:
    """The picture of all exchanges of a plan."""
    picture = Picture()
    number = 0
    for group, exchanges in plan.groups.items():
        boxes = picture.groups.setdefault(group, [])
        for exchange in exchanges:
            number += 1
            drawn = _Exchange(f"e{number}", exchange, boxes, picture.arrows)
            drawn.draw(registry)
    return picture


@attrs.frozen
class _Exchange:
    """Draws one exchange."""

    prefix: str
    plan: ExchangePlan
    boxes: list[Box]
    arrows: list[Arrow]

    def draw(self, registry: Registry) -> None:
        """Add its boxes and arrows."""
        plan = self.plan
        middle = Box(self.prefix, (plan.name,), "exchange")
        for path, source in placed("source", plan.sources):
            self._arrow(self._box(path, source), middle.name, source.spec)
        self.boxes.append(middle)
        last = middle.name
        for path, pipe in placed("pipe", plan.pipes):
            box = self._box(path, pipe)
            self._arrow(last, box, pipe.spec)
            last = box
        ends: list[tuple[str, ComponentPlan | None, str, bool]] = [
            *((path, sink, last, False) for path, sink in placed("sink", plan.sinks)),
            ("errors.dead_letters", plan.dead_letters, middle.name, True),
            ("gaps", plan.gaps, middle.name, True),
        ]
        for path, sink, begin, aside in ends:
            if sink is not None:
                self._arrow(begin, self._box(path, sink, aside=aside), sink.spec, aside=aside)
        self._draw_nested(registry)

    def _draw_nested(self, registry: Registry) -> None:
        """The components inside of others, each with an arrow from the one that holds it."""
        drawn: list[str] = []
        for path, component in planned_components(self.plan, registry):
            holders = [each for each in drawn if path.startswith((f"{each}.", f"{each}["))]
            drawn.append(path)
            if holders:
                holder = max(holders, key=len)
                text = path.removeprefix(holder).lstrip(".")
                box = self._box(path, component)
                self.arrows.append(Arrow(self._name(holder), box, text))

    def _name(self, path: str) -> str:
        return self.prefix + "".join(letter if letter.isalnum() else "_" for letter in f"_{path}")

    def _box(self, path: str, component: ComponentPlan, *, aside: bool = False) -> str:
        name = self._name(path)
        lines = (component.type.name, *_details(component))
        kind = component.type.kind.word
        self.boxes.append(Box(name, lines, kind, aside))
        return name

    def _arrow(self, begin: str, end: str, spec: DataSpec, *, aside: bool = False) -> None:
        words = str(spec)
        text = words if len(words) <= MAX_LETTERS else words[: MAX_LETTERS - 1] + "…"
        self.arrows.append(Arrow(begin, end, text, aside))


def _details(component: ComponentPlan) -> Iterator[str]:
    """The values of the options that must be given: they tell one topic from another."""
    for name, option in options_of(type(component.descriptor)).items():
        value = getattr(component.descriptor, name)
        if option.default is attrs.NOTHING and component.type.kind is not ComponentKind.PIPE:
            text = _written(value)
            if text is not None:
                yield text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"


def _written(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return ", ".join(value) if isinstance(value, tuple) else json.dumps(value)
    except TypeError:
        return None  # parts with options of their own have boxes of their own, or need none
