"""A host for tests: a connector, what it built, and every state that its groups went through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from queueconnector_core.component import ComponentType
from queueconnector_core.connector import Connector
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import FarEnd, RecordingSink, ScriptedSource, until
from tests.core.components import Attributes, Made, registry_of, services_of


def source(**options: Any) -> dict[str, Any]:
    return {"type": "CounterSource", "endless": True} | options


def attribute(name: str) -> dict[str, Any]:
    return {"type": "AttributeSink", "attribute_name": name}


def exchange(sink: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    topic = {"type": "TopicSink", "topic": "t"}
    return {"dtype": "int", "source": source(**options), "sink": sink or topic}


def text_of(policy: dict[str, Any] | None = None, /, **groups: list[dict[str, Any]]) -> str:
    return json.dumps({"exchanges": groups} | (policy or {}))


class Host:
    """A connector with the components it built and the attributes it keeps."""

    def __init__(self, *types: ComponentType) -> None:
        self.made = Made()
        self.attributes = Attributes()
        self.changes = 0
        self.history: dict[str, list[State]] = {}
        """The states of each group, by name."""
        self.connector = Connector(
            registry_of(self.made).with_(types), services_of(self.attributes), self._changed
        )

    def _changed(self) -> None:
        self.changes += 1
        for name, state in self.states().items():
            states = self.history.setdefault(name, [])
            if not states or states[-1] is not state:
                states.append(state)

    @property
    def components(self) -> Sequence[FarEnd]:
        return [*self.sources, *self.sinks]

    @property
    def sources(self) -> list[ScriptedSource]:
        return [made for _, made in self.made.sources]

    @property
    def sinks(self) -> list[RecordingSink]:
        return [made for _, made in self.made.sinks]

    def group(self, name: str) -> Group:
        return self.connector.groups[name]

    def running(self, name: str) -> list[Exchange]:
        return list(self.group(name).exchanges)

    def states(self) -> dict[str, State]:
        return {name: group.state for name, group in self.connector.groups.items()}

    def stands(self, state: State) -> bool:
        return self.connector.state is state

    async def reaches(self, state: State) -> None:
        await until(lambda: self.connector.state is state)

    async def streams(self, text: str) -> None:
        """Configure, start and wait until it is ON; the histories begin here."""
        await self.connector.configure(text, start=True)
        await self.reaches(State.ON)
        self.history.clear()
        self._changed()
