"""A replay keeps time, and the commands work from a running host to a second recording."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from queueconnector_core.cli.app import make_app
from queueconnector_core.cli.replay import replayed
from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError
from queueconnector_core.record import Metadata, Record
from queueconnector_core.web.options import WebOptions, serve
from queueconnector_memory import store
from tests.recording.keeping import entries, registry, replaying, run, written

MILLISECOND_NS = 1_000_000


def command(*words: str | Path) -> int:
    """The exit code of a command."""
    arguments = [str(word) for word in words]
    return int(make_app(arguments)(arguments))


def took_s(speed: float | None, path: Path) -> float:
    """How long a replay takes."""
    source = {"type": "ReplaySource", "path": str(path), "speed": speed}
    begun_s = time.monotonic()
    got = run(replaying(path, dtype="int64", source=source), path.with_suffix(".out"))
    assert [record.value for record in got] == [0, 1, 2, 3]
    return time.monotonic() - begun_s


def test_a_replay_takes_as_long_as_the_run_or_so_many_times_less(tmp_path: Path) -> None:
    """Steps of 200 ms, one of them back in time: 400 ms in total."""
    stamps = (0, 200 * MILLISECOND_NS, 100 * MILLISECOND_NS, 400 * MILLISECOND_NS)
    records = [Record(n, Metadata(stamp)) for n, stamp in enumerate(stamps)]
    path = written(tmp_path / "four.avro", records)

    assert took_s(1, path) >= 0.4
    assert 0.2 <= took_s(2, path) < 0.4
    assert took_s(None, path) < 0.2


def test_records_without_a_time_follow_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "four.avro", [Record(n) for n in range(4)])
    assert took_s(1, path) < 1


async def test_a_replay_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    hour_ns = 3_600_000 * MILLISECOND_NS
    records = [Record(1, Metadata(0)), Record(2, Metadata(hour_ns))]
    path = written(tmp_path / "hour.avro", records)
    exchange = {
        "dtype": "int64",
        "source": {"type": "ReplaySource", "path": str(path)},
        "sink": {"type": "InMemorySink", "key": "hour"},
    }
    connector = Connector(registry())
    await connector.configure(json.dumps({"exchanges": [exchange]}))
    await connector.start()
    await store.wait_for("hour", 1)
    async with asyncio.timeout(5):
        await connector.shut_down()
    assert [record.value for record in store.records("hour")] == [1]
    store.reset("hour")


async def test_a_host_is_recorded_over_http_and_the_replay_is_the_same(tmp_path: Path) -> None:
    """Images and all metadata pass the host, which has them of a recording itself."""
    data = [Record([n, {"x": [float("nan"), "é", b"\xff"]}], Metadata(n, key=b"\xff"))
            for n in range(300)]  # fmt: skip
    first = written(tmp_path / "first.avro", data)
    connector = Connector(registry())
    server = await serve(connector, WebOptions(0))
    exchange = replaying(first, dtype="object")
    await connector.configure(json.dumps({"exchanges": [exchange]}))
    words: list[str | Path] = [
        "record",
        server.address,
        "default[0]",
        "-o",
        tmp_path / "second.avro",
    ]
    recording = asyncio.create_task(asyncio.to_thread(command, *words, "--limit", "300"))
    async with asyncio.timeout(10):
        while not connector.exchanges[0].taps.are_watched:
            await asyncio.sleep(0.01)
    await connector.start()

    assert await asyncio.wait_for(recording, 20) == 0
    await connector.shut_down()
    await server.close()

    assert (tmp_path / "second.avro").read_bytes() == first.read_bytes()


async def test_a_recording_ends_after_its_time(tmp_path: Path) -> None:
    connector = Connector(registry())
    server = await serve(connector, WebOptions(0))
    await connector.configure(
        json.dumps({"exchanges": [replaying(written(tmp_path / "none.avro", []))]})
    )
    words: list[str | Path] = ["record", server.address, "default[0]", "-o", tmp_path / "out.avro"]
    done = asyncio.to_thread(command, *words, "--duration-s", "0.1")

    assert await asyncio.wait_for(done, 10) == 0
    await connector.shut_down()
    await server.close()
    assert entries(tmp_path / "out.avro") == []


def test_the_command_replays_and_records_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path / "first.avro", [Record(n, Metadata(n)) for n in range(10)])
    config = tmp_path / "two.json"
    exchange = {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": []},
        "sink": {"type": "FileSink", "path": str(tmp_path / "lines")},
    }
    config.write_text(json.dumps({"exchanges": {"a": [{**exchange, "dtype": "str"}, exchange]}}))
    words: list[str | Path] = ["replay", first, config, "--exchange", "a[1]", "--speed", "max"]

    assert command(*words, "-o", tmp_path / "second.avro") == 0

    assert (tmp_path / "second.avro").read_bytes() == first.read_bytes()
    assert (tmp_path / "lines").read_text().count("\n") == 10
    assert "received=10 delivered=10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--exchange", "b[0]"], "--exchange: found 'b[0]'; allowed: default[0]"),
        (["--speed", "0"], "--speed: found '0'; allowed: max, or a number over 0"),
        (["--speed", "fast"], "--speed: found 'fast'"),
        (["-o", "there", "--stage", "pipe[3]"], "stage: found 'pipe[3]'; allowed: source, sink"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    first = written(tmp_path / "first.avro", [Record(1)])
    config = tmp_path / "one.json"
    config.write_text(json.dumps({"exchanges": [replaying(first, dtype="int64")]}))

    assert command("replay", first, config, *words) == 2
    assert told in capsys.readouterr().err


def test_a_replay_keeps_all_else_of_the_exchange_and_of_the_document() -> None:
    exchange = {"source": [{"type": "A"}, {"type": "B"}], "pipe": {"type": "C"}}
    document = {"exchanges": {"a": [{}, exchange]}, "outage_limit_s": 3}

    assert replayed(document, "a[1]", "file", 2.0) == {
        "exchanges": {
            "a": [{"source": {"type": "ReplaySource", "path": "file", "speed": 2.0},
                   "pipe": {"type": "C"}}]
        },
        "outage_limit_s": 3,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="allowed: none"):
        replayed([1], "a[1]", "file", None)
