"""Asks about every combination, and runs those that are accepted."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import attrs

from devservices.process import wait_until
from queueconnector_core.component import Services
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import read_plan
from queueconnector_core.registry import Registry
from queueconnector_memory import store
from queueconnector_tango.attributes import AttributeSurface, LocalAttributes
from queueconnector_tango.host import AttributeHost

from .compare import same
from .ends import Place, SinkEnd, SourceEnd
from .hosts import DeviceHost, Host
from .table import Row
from .tango_forms import type_of
from .world import World

__all__ = ("Case", "Failure", "refusals", "run")

BATCH = 200
"""So many sinks run at once."""
QUIET_S = 5.0
"""When nothing has arrived for so long nothing more will."""
AT_REST = frozenset({"ON", "OFF", "FAULT"})


@attrs.frozen
class Case:
    """One exchange: a source, and sinks that each get every record."""

    row: Row
    source: SourceEnd
    sinks: tuple[SinkEnd, ...]

    @property
    def local(self) -> bool:
        """Whether it needs the device server."""
        return any(sink.local for sink in self.sinks)

    @property
    def samples(self) -> list[Any]:
        """What flows through it."""
        ascii_only = any(sink.encoding == "ascii" for sink in self.sinks)
        return self.source.samples(self.row, ascii_only=ascii_only)

    def exchange(self, number: int, world: World) -> dict[str, Any]:
        """The exchange as a configuration has it."""
        source = self.source.options(self.row, Place(number, world), self.samples)
        sinks = [
            {"type": sink.kind, **sink.options(self.row, place)}
            for sink, place in self.placed(number, world)
        ]
        return {
            "dtype": self.row.literal,
            "shape": list(self.row.shape),
            "source": {"type": self.source.kind, **source},
            "sink": sinks if len(sinks) > 1 else sinks[0],
        }

    def placed(self, number: int, world: World) -> list[tuple[SinkEnd, Place]]:
        """The sinks with their places."""
        return [
            (sink, Place(number, world, index)) for index, sink in enumerate(self.sinks)
        ]  # fmt: skip


@attrs.frozen
class Failure:
    """A combination that was accepted and did not work."""

    case: Case
    sink: SinkEnd
    text: str

    def __str__(self) -> str:
        ends = f"{self.case.source.kind} {self.case.source.encoding} -> {self.sink.kind}"
        return f"{self.case.row} {ends} {self.sink.encoding}: {self.text}"


def refusals(cases: Sequence[Case], world: World, registry: Registry) -> dict[Case, str]:
    """The cases that are refused when a configuration is read, each with the message."""
    text = _configuration(list(enumerate(cases)), world)
    surface = cast("AttributeSurface", None)  # only asked for what it would have to do
    services = Services({AttributeHost: LocalAttributes(surface)})
    try:
        read_plan(text, registry, services)
    except ConfigError as error:
        found: dict[Case, str] = {}
        for problem in error.problems:
            match = re.match(r"exchanges\.c(\d+)\[0\]\.?(.*)", problem.path)
            assert match is not None, problem
            case = cases[int(match[1])]
            words = f"{match[2]}: {problem.message}"
            found[case] = f"{found[case]}; {words}" if case in found else words
        return found
    return {}


def _configuration(numbered: Sequence[tuple[int, Case]], world: World, word: str = "") -> str:
    """One group for each case, and one without values that shows a word in Status."""
    groups = {f"c{number}": [case.exchange(number, world)] for number, case in numbered}
    if word:
        ends = {"source": {"type": "InMemorySource", "data": []}}
        groups[word] = [ends | {"sink": {"type": "InMemorySink", "key": word}}]
    return json.dumps({"exchanges": groups})


def run(cases: Sequence[Case], world: World, host: Host) -> Iterator[Failure]:
    """Run the cases, many at once; gives those that failed."""
    batch: list[Case] = []
    for case in cases:
        if sum(len(other.sinks) for other in (*batch, case)) > BATCH:
            yield from _run_batch(batch, world, host)
            batch = []
        batch.append(case)
    if batch:
        yield from _run_batch(batch, world, host)


def _run_batch(cases: Sequence[Case], world: World, host: Host) -> list[Failure]:
    store.reset()
    world.everything.proxy().Reset()
    numbered = list(enumerate(cases))
    _use_topics(numbered, world)
    _make_attributes(numbered, world)
    host.configure(_configuration(numbered, world))
    try:
        _listen(numbered, world, host)
        host.start()
        wait_until(lambda: set(host.states().values()) <= AT_REST, 120, "ON")
        for number, case in numbered:
            case.source.feed(case.row, Place(number, world), case.samples)
        world.flush()
        _push(cases, world)
        _wait_for_all(numbered, world)
        host.stop()
        status = host.status()
        return [
            Failure(case, sink, text)
            for number, case in numbered
            for sink, place in case.placed(number, world)
            if (text := _problem(case, sink, place, status))
        ]
    finally:
        host.stop()
        world.unsubscribe()
        host.configure("")


def _push(cases: Sequence[Case], world: World) -> None:
    """Show sample after sample; the first one came with the subscription."""
    fed = [case for case in cases if case.source.kind.startswith("Tango")]
    for index in range(1, max((len(case.samples) for case in fed), default=0)):
        world.everything.proxy().Push(index)


def _use_topics(numbered: Sequence[tuple[int, Case]], world: World) -> None:
    read = [
        place.topic("out")
        for number, case in numbered
        for sink, place in case.placed(number, world)
        if sink.kind == "KafkaProducerSink"
    ]
    written = [
        Place(number, world).topic("in")
        for number, case in numbered
        if case.source.kind == "KafkaConsumerSource"
    ]
    world.use_topics(read, written)


def _listen(numbered: Sequence[tuple[int, Case]], world: World, host: Host) -> None:
    everything = world.everything.proxy()
    for number, case in numbered:
        for sink, place in case.placed(number, world):
            for channel in sink.channels(case.row, place):
                if channel.startswith("remote:"):
                    world.subscribe(everything, channel)
                elif channel.startswith("attribute:") and isinstance(host, DeviceHost):
                    world.subscribe(host.proxy, channel)
    if isinstance(host, DeviceHost):
        _wait_for_subscriptions(numbered, world, host)
    world.clear()


def _wait_for_subscriptions(
    numbered: Sequence[tuple[int, Case]], world: World, host: DeviceHost
) -> None:
    """Make the device push its Status until that is heard: then all earlier subscriptions stand.

    ZeroMQ passes subscriptions on behind Tango's back, in order, and the pushing side reads them no
    sooner than it pushes: of many attributes the first events would be lost.
    """
    channel = "attribute:Status"
    world.subscribe(host.proxy, channel)
    for attempt in range(10):
        word = f"attempt{attempt}"
        host.configure(_configuration(numbered, world, word))
        with contextlib.suppress(TimeoutError):
            wait_until(lambda word=word: word in "".join(world.received(channel)), 1, "Status")  # type: ignore[misc]
            return
    raise TimeoutError("Status is not heard")


def _make_attributes(numbered: Sequence[tuple[int, Case]], world: World) -> None:
    orders = [
        (channel.removeprefix("remote:"), type_of(case.row), len(case.row.shape))
        for number, case in numbered
        for sink, place in case.placed(number, world)
        for channel in sink.channels(case.row, place)
        if channel.startswith("remote:")
    ]
    world.everything.proxy().Make(json.dumps(orders))


def _wait_for_all(numbered: Sequence[tuple[int, Case]], world: World) -> None:
    """Until every channel has as much as it must have, or nothing has come for a while."""
    wanted = {
        channel: len(case.samples)
        for number, case in numbered
        for sink, place in case.placed(number, world)
        for channel in sink.channels(case.row, place)
    }
    last, since = -1, time.monotonic()
    while any(_count(channel, world) < number for channel, number in wanted.items()):
        now = world.count + sum(_count(name, world) for name in wanted if name.startswith("store:"))
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > QUIET_S:
            return
        world.poll()


def _count(channel: str, world: World) -> int:
    kind, _, name = channel.partition(":")
    return store.count(name) if kind == "store" else len(world.received(channel))


def _problem(case: Case, sink: SinkEnd, place: Place, status: str) -> str:
    """What is wrong with what arrived; empty: nothing."""
    try:
        found = sink.found(case.row, place, case.samples)
    except Exception as error:  # noqa: BLE001 - a foreign reader may fail in any way
        return f"cannot be read: {type(error).__name__}: {error}"
    for channel, (values, expected) in found.items():
        if len(values) != len(expected) or not all(map(same, values, expected)):
            told = re.search(rf"^  c{place.number}\[0\]: (.*)$", status, re.MULTILINE)
            wrong = [
                (value, other)
                for value, other in zip(values, expected, strict=False)
                if not same(value, other)
            ]
            return (
                f"{channel}: {len(values)} of {len(expected)}; found, expected: {wrong[:1]!r}; "
                f"{told and told[1]}"
            )
    return ""
