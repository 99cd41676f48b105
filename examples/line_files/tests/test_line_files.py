"""The plugin as a host uses it: found by its entry point, configured by JSON, run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.states import State


@pytest.fixture
def connector() -> Connector:
    return Connector(discover().registry)


def configuration(source: Path, sink: Path, **options: Any) -> str:
    exchange = {
        "source": {"type": "LineFileSource", "path": str(source), **options},
        "sink": {"type": "LineFileSink", "path": str(sink)},
    }
    return json.dumps({"exchanges": [exchange]})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_every_line_is_copied_the_last_one_too(connector: Connector, tmp_path: Path) -> None:
    source, sink = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("first\n\nthird, älter\nno line end", "utf-8")
    sink.write_text("was there\n", "utf-8")

    await connector.configure(configuration(source, sink))
    for _ in range(2):  # once more after its end: from the first line again
        await connector.start()
        await connector.settled()

    assert connector.state is State.OFF
    copied = "first\n\nthird, älter\nno line end\n"
    assert sink.read_text("utf-8") == "was there\n" + 2 * copied


async def test_a_followed_file_gives_what_is_appended_in_whole_lines(
    connector: Connector, tmp_path: Path
) -> None:
    source, sink = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("first\nsec")

    await connector.configure(configuration(source, sink, follow=True))
    await connector.start()
    await until(lambda: sink.exists() and sink.read_text() == "first\n")
    with source.open("a") as file:
        file.write("ond\n")
    await until(lambda: sink.read_text() == "first\nsecond\n")
    await connector.stop()
    await connector.settled()

    assert connector.state is State.OFF


async def test_a_file_that_is_not_there_yet_is_waited_for(
    connector: Connector, tmp_path: Path
) -> None:
    source, sink = tmp_path / "in.txt", tmp_path / "out.txt"

    await connector.configure(configuration(source, sink))
    await connector.start()
    await until(lambda: f"cannot open {source}" in connector.status_text())
    source.write_text("at last\n")
    await connector.settled()

    assert sink.read_text() == "at last\n"


async def test_text_of_several_lines_is_dropped_and_counted(
    connector: Connector, tmp_path: Path
) -> None:
    sink = tmp_path / "out.txt"
    exchange = {
        "source": {"type": "InMemorySource", "data": ["one", "two\nlines", "three"]},
        "sink": {"type": "LineFileSink", "path": str(sink)},
    }

    await connector.configure(json.dumps({"exchanges": [exchange]}))
    await connector.start()
    await connector.settled()

    assert sink.read_text() == "one\nthree\n"
    assert "2 delivered, 1 dropped (last: found 'two\\nlines'" in connector.status_text()


async def test_only_text_can_be_a_line(connector: Connector) -> None:
    exchange = {
        "dtype": "float64",
        "source": {"type": "LineFileSource", "path": "in.txt"},
        "sink": {"type": "LineFileSink", "path": "out.txt"},
    }

    with pytest.raises(ConfigError) as caught:
        await connector.configure(json.dumps({"exchanges": [exchange]}))

    assert [problem.path for problem in caught.value.problems] == [
        "exchanges[0].source",
        "exchanges[0].sink",
    ]
