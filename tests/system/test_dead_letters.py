"""A dead-lettered record, repaired and driven again, gives the result it should have given.

Each test streams poison through a real exchange, repairs the letters as an operator would, drives
them again with the command line, and compares the sink with that of an exchange that was never
poisoned.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
from confluent_kafka import Producer
from msgspec import Meta

from devservices.kafka import KafkaBroker
from queueconnector_core.cli.app import make_app
from queueconnector_core.component import BuildContext, ComponentKind, ComponentType
from queueconnector_core.connector import Connector
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.discovery import DiscoveryReport, discover
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Value
from queueconnector_core.registry import Registry
from queueconnector_core.simple import ValuePipe
from queueconnector_core.states import State

app = make_app()
GOOD = ["[1.0,2.0]", "[3.0,4.0]", "[5.0,6.0]"]
TIME_MS = 1_700_000_000_000
NAMES = itertools.count()
INSTALLED = discover()

Config = dict[str, Any]


@attrs.frozen
class PositivePipeDescriptor(PipeDescriptor):
    """Refuses negative numbers."""

    least: Annotated[float, Meta(description="The least number that passes.")] = 0.0


class PositivePipe(ValuePipe):
    def __init__(self, descriptor: PositivePipeDescriptor, context: BuildContext) -> None:
        self._least = descriptor.least

    def map(self, value: Any) -> Value:
        if value.min() < self._least:
            raise RecordError(f"found {value.min()}; allowed: {self._least} or more")
        return value  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """What is installed, and a pipe that refuses."""
    pipe = ComponentType("PositivePipe", ComponentKind.PIPE, PositivePipe, PositivePipeDescriptor)
    found = INSTALLED
    report = attrs.evolve(found, registry=found.registry.with_([pipe]))

    def discovered() -> DiscoveryReport:
        return report

    for module in ("redriving", "showing"):
        monkeypatch.setattr(f"queueconnector_core.cli.dlq.{module}.discover", discovered)
    return report.registry


def dlq(*arguments: str | Path) -> int:
    """The command line `queueconnector dlq`, in this process; its exit code."""
    code: int = app(["dlq", *map(str, arguments)])
    return code


class Ends:
    """Where records, letters and results are."""

    def __init__(self, folder: Path, broker: KafkaBroker | None, registry: Registry) -> None:
        self.folder = folder
        self.broker = broker
        self.registry = registry

    def source(self, values: Iterable[str | None]) -> Config:
        """A source that holds these octets, with key, header and time."""
        name = f"records-{next(NAMES)}"
        return self._topic(name, values) if self.broker else self._file(name, values)

    def _file(self, name: str, values: Iterable[str | None]) -> Config:
        path = self.folder / name
        stamp = {"time": "2023-11-14T22:13:20Z", "origin": "source"}
        rest = {**stamp, "key": "k", "headers": [["h", "1"]]}
        path.write_text("".join(json.dumps({"value": v, **rest}) + "\n" for v in values))
        return {"type": "FileSource", "path": str(path)}

    def _topic(self, name: str, values: Iterable[str | None]) -> Config:
        assert self.broker is not None
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        self.broker.admin.create_topic(name)
        for value in values:
            producer.produce(
                name, value, key=b"k", partition=0, timestamp=TIME_MS, headers=[("h", b"1")]
            )
        assert producer.flush(20) == 0
        return self._from_topic(name) | {"encoding": "json"}

    def _from_topic(self, name: str) -> Config:
        assert self.broker is not None
        where = {"servers": self.broker.bootstrap, "topic": name}
        return {"type": "KafkaConsumerSource", **where, "start": "earliest", "until": "latest"}

    def letters(self) -> tuple[Config, str]:
        """A sink of letters, and how the command line names what it keeps."""
        name = f"letters-{next(NAMES)}"
        if self.broker is None:
            path = str(self.folder / name)
            return {"type": "FileSink", "path": path}, path
        self.broker.admin.create_topic(name)
        sink = {"servers": self.broker.bootstrap, "topic": name}
        return {"type": "KafkaProducerSink", **sink}, json.dumps(self._from_topic(name))

    def config(self, source: Config, result: Path, letters: Config, **more: Any) -> Path:
        """The file of a configuration of one exchange."""
        exchange = {
            "dtype": "float64", "shape": [2], "source": source,
            "sink": {"type": "FileSink", "path": str(result)},
            "errors": {"action": "dead_letter", "dead_letters": letters},
        }  # fmt: skip
        path = self.folder / f"config-{next(NAMES)}.json"
        path.write_text(json.dumps({"exchanges": [exchange | more]}))
        return path

    def run(self, config: Path) -> None:
        """Run a configuration to the end of its sources."""
        asyncio.run(self._run(config.read_text()))

    async def _run(self, text: str) -> None:
        connector = Connector(self.registry)
        await connector.configure(text)
        await connector.start()
        async with asyncio.timeout(30):
            await connector.settled()
        assert connector.state is State.OFF, connector.status_text()

    def unpoisoned(self, values: Iterable[str | None], **more: Any) -> list[str]:
        """What stands in the sink of an exchange that is given good values only."""
        result = self.folder / f"expected-{next(NAMES)}"
        self.run(self.config(self.source(values), result, self.letters()[0], **more))
        return lines(result)


def lines(path: Path) -> list[str]:
    """The records in a file, but for the topic and the place in which they stood."""
    text = re.sub(r'"records-\d+\[0\]@\d+"', '"a place"', path.read_text())
    return sorted(text.splitlines())


@pytest.fixture(params=["file", "topic"])
def ends(request: pytest.FixtureRequest, tmp_path: Path, registry: Registry) -> Ends:
    broker = request.getfixturevalue("kafka_broker") if request.param == "topic" else None
    return Ends(tmp_path, broker, registry)


@pytest.fixture
def files(tmp_path: Path, registry: Registry) -> Ends:
    return Ends(tmp_path, None, registry)


def repaired(folder: Path, value: str) -> Path:
    path = folder / "repaired"
    path.write_text(value)
    return path


@pytest.mark.parametrize(
    ("poison", "repair"),
    [
        ("[3.0,", GOOD[1]),
        ("[3.0]", GOOD[1]),
        ('["three","four"]', GOOD[1]),
        (None, GOOD[1]),
        ("[-3.0,4.0]", GOOD[1]),
    ],
    ids=["no JSON", "wrong shape", "wrong dtype", "null", "refused by a pipe"],
)
def test_a_repaired_letter_gives_what_it_should_have_given(
    ends: Ends, poison: str | None, repair: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ends.folder / "result"
    sink, letters = ends.letters()
    pipe = {"pipe": {"type": "PositivePipe"}}
    config = ends.config(ends.source([GOOD[0], poison, GOOD[2]]), result, sink, **pipe)
    ends.run(config)
    assert len(lines(result)) == 2

    assert dlq("list", letters) == 0
    assert "1 letters, 0 redriven" in capsys.readouterr().out
    assert dlq("show", letters, "1", "--output", ends.folder / "octets") == 0
    value = repaired(ends.folder, repair)
    code = dlq("redrive", letters, "--config", config, "--only", "1", "--value-file", value)

    told = capsys.readouterr()
    assert code == 0, told.err
    assert "read=1 delivered=1 dead_lettered=0 dropped=0 left=0" in told.out
    expected = ends.unpoisoned(GOOD, **pipe)
    if ends.broker is None and poison is None:
        # A line without a value is no record: what else is in it is not known.
        expected[1] = json.dumps({"value": repair}, separators=(",", ":"))
        assert [json.loads(line)["value"] for line in lines(result)] == sorted(GOOD)
    else:
        assert lines(result) == expected


def test_a_window_that_was_refused_goes_through_with_a_larger_limit(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    """All records of the window are letters; together they are that window once more."""
    window = {"pipe": {"type": "BufferWithTimePipe", "timespan": 0.2}}
    source, (sink, letters) = ends.source(GOOD), ends.letters()
    small = {"type": "FileSink", "path": str(ends.folder / "result"), "max_bytes": 10}
    result = ends.folder / "result"
    ends.run(ends.config(source, result, sink, **window, sink=small))
    assert result.read_text() == ""

    code = dlq("redrive", letters, "--config", ends.config(source, result, sink, **window))

    assert code == 0
    assert "read=3 delivered=3" in capsys.readouterr().out
    assert lines(result) == ends.unpoisoned(GOOD, **window)


def test_octets_go_back_to_where_they_came_from_as_they_were(ends: Ends) -> None:
    sink, letters = ends.letters()
    ends.run(ends.config(ends.source(["[3.0]"]), ends.folder / "result", sink))
    back = ends.folder / "back"

    assert dlq("redrive", letters, "--to", json.dumps({"type": "FileSink", "path": str(back)})) == 0

    line = json.loads(back.read_text())
    assert (line["value"], line["key"], line["time"]) == (
        "[3.0]", "k", "2023-11-14T22:13:20.000000000Z",
    )  # fmt: skip
    assert ["h", "1"] in line["headers"]
    assert not [name for name, _ in line["headers"] if name.startswith("qc_")]


def test_what_fails_again_is_a_letter_again_with_one_attempt_more(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    sink, letters = ends.letters()
    config = ends.config(ends.source(["[3.0]"]), ends.folder / "result", sink)
    ends.run(config)

    assert dlq("redrive", letters, "--config", config) == 1

    assert "read=1 delivered=0 dead_lettered=1 dropped=0" in capsys.readouterr().out
    dlq("list", letters, "--json")
    first, second = json.loads(capsys.readouterr().out)
    assert (first["attempts"], second["attempts"]) == (1, 2)
    assert (first["position"], first["stage"]) == (second["position"], second["stage"])


def poisoned_file(files: Ends, poison: str = "[3.0]", **more: Any) -> tuple[str, Path]:
    """Letters of two records in a file, and the configuration that made them."""
    sink, letters = files.letters()
    source = files.source([poison, GOOD[0], poison])
    config = files.config(source, files.folder / "result", sink, **more)
    files.run(config)
    return letters, config


def test_a_letter_is_driven_again_once_unless_asked_for(
    files: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    letters, config = poisoned_file(files)
    value = repaired(files.folder, GOOD[1])
    repair: tuple[str | Path, ...] = ("--config", config, "--only", "2", "--value-file", value)
    dlq("redrive", letters, *repair)
    assert len(lines(files.folder / "result")) == 2

    assert dlq("redrive", letters, *repair) == 0
    assert "nothing to drive again" in capsys.readouterr().out
    assert len(lines(files.folder / "result")) == 2

    assert dlq("redrive", letters, *repair, "--again") == 0
    assert len(lines(files.folder / "result")) == 3


def test_letters_repaired_in_the_file_itself_are_driven_in_order(files: Ends) -> None:
    letters, config = poisoned_file(files)
    path = Path(letters)
    first, second = path.read_text().replace("[3.0]", "[3.0,4.0]").splitlines(keepends=True)
    path.write_text(second + first)

    assert dlq("redrive", letters, "--config", config) == 0

    written = (files.folder / "result").read_text().splitlines()
    values = [json.loads(line)["value"] for line in written]
    assert values == [GOOD[0], "[3.0,4.0]", "[3.0,4.0]"]


def test_what_is_dropped_can_be_driven_again(
    files: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    letters, config = poisoned_file(files)
    skipping = files.folder / "skipping.json"
    document = json.loads(config.read_text())
    del document["exchanges"][0]["errors"]
    skipping.write_text(json.dumps(document))

    assert dlq("redrive", letters, "--config", skipping) == 1
    assert "read=2 delivered=0 dead_lettered=0 dropped=2" in capsys.readouterr().out
    dlq("list", letters)
    assert "2 letters, 0 redriven" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(files: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    letters, config = poisoned_file(files)
    value = repaired(files.folder, GOOD[1])
    only: tuple[str | Path, ...] = ("--config", config, "--only", "1", "--value-file", value)

    assert dlq("redrive", letters, "--config", config, "--dry-run") == 1
    assert dlq("redrive", letters, *only, "--dry-run") == 0

    assert "read=2 restored=0 failed=2; nothing written" in capsys.readouterr().out
    assert len(lines(files.folder / "result")) == 1
    assert not Path(f"{letters}.redriven").exists()


def test_show_tells_everything(files: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    letters, _ = poisoned_file(files)
    dlq("show", letters, "2", "--output", files.folder / "octets")
    shown = capsys.readouterr().out
    assert (files.folder / "octets").read_text() == "[3.0]"
    for text in ("letter 2", "key: k", "h: 1", "qc_stage: source", "qc_attempts: 1", "\n[3.0]\n"):
        assert text in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("list LETTERS.not", "there is no file"),
        ("list {", "LETTERS: not valid JSON"),
        ('list {"type":"FileSink"}', "it names a sink type"),
        ('list {"type":"FileSource"}', "LETTERS.path: is required"),
        ("show LETTERS 3", "found no letter 3; allowed: 1 to 2"),
        ("show LETTERS 1 --output /not/there", "--output: /not/there: No such file"),
        ("redrive LETTERS", "give one of --config and --to"),
        ("redrive LETTERS --config CONFIG.not", "--config: cannot read"),
        ("redrive LETTERS --config LETTERS", "--config: not valid JSON"),
        (
            "redrive LETTERS --config CONFIG --exchange a[7]",
            "found 'a[7]'; the configuration has default[0]",
        ),
        ("redrive LETTERS --config CONFIG --value-file CONFIG", "add --only and its number"),
        ("redrive LETTERS --config CONFIG --only 1 --value-file NOT", "cannot read NOT"),
        ("redrive LETTERS --config CONFIG --redriven CONFIG", "name another: --redriven"),
        ('redrive LETTERS --to {"type":"FileSink"}', "--to.path: is required"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_way_out(
    files: Ends, capsys: pytest.CaptureFixture[str], arguments: str, told: str
) -> None:
    letters, config = poisoned_file(files)
    words = arguments.replace("LETTERS", letters).replace("CONFIG", str(config))

    assert dlq(*words.split()) == 2

    assert told in capsys.readouterr().err.replace(letters, "LETTERS")


def test_letters_of_another_exchange_are_driven_only_when_they_are_chosen(
    files: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    letters, config = poisoned_file(files)
    exchange = json.loads(config.read_text())["exchanges"]
    config.write_text(json.dumps({"exchanges": {"other": exchange}}))
    there = ("--config", config, "--exchange", "other[0]")

    assert dlq("redrive", letters, *there) == 2
    assert "letters 1 2 are not of other[0]; choose letters with --only" in capsys.readouterr().err
    assert dlq("redrive", letters, *there, "--only", "1", "2") == 1
    assert "read=2 delivered=0 dead_lettered=2" in capsys.readouterr().out


def test_a_topic_in_a_group_remembers_what_was_driven_again(
    kafka_broker: KafkaBroker,
    tmp_path: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends = Ends(tmp_path, kafka_broker, registry)
    sink, letters = ends.letters()
    ends.run(ends.config(ends.source(["[3.0]"]), tmp_path / "result", sink))
    in_group = json.dumps(json.loads(letters) | {"group_id": "repair"})
    back = json.dumps({"type": "FileSink", "path": str(tmp_path / "back")})

    assert dlq("redrive", in_group, "--to", back) == 0
    assert dlq("redrive", in_group, "--to", back) == 0

    assert "nothing to drive again" in capsys.readouterr().out
    assert len(lines(tmp_path / "back")) == 1
