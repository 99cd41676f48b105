"""What `queueconnector run` tells people and programs: gaps, a report, a status page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import attrs
import pytest

from devservices.process import wait_until
from queueconnector_core.cli.app import make_app
from queueconnector_core.component import BuildContext, ComponentKind, ComponentType
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.discovery import DiscoveryReport, discover
from queueconnector_core.errors import RetryableError
from queueconnector_core.gaps import Gap, GapReason
from queueconnector_core.record import Batch

BIN = Path(sys.executable).parent
app = make_app()
SECOND_NS = 1_000_000_000


@attrs.frozen
class GappySourceDescriptor(SourceDescriptor):
    """Loses seven records, then as many as nobody knows, and its far end is away for a while."""


class GappySource:
    def __init__(self, descriptor: GappySourceDescriptor, context: BuildContext) -> None:
        self._gaps = context.gaps
        self._away = True

    async def start(self) -> None:
        if self._away:
            self._away = False
            raise RetryableError("the far end is away")

    async def read(self) -> AsyncIterator[Batch]:
        counted = Gap("far", GapReason.RETENTION, 0, SECOND_NS, 7, is_exact=True, text="deleted")
        self._gaps.add(counted)
        self._gaps.open("far", GapReason.DEVICE_AWAY, 2 * SECOND_NS)
        yield Batch([1, 2])

    async def stop(self) -> None:
        """Nothing to do."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of an exchange with gaps."""
    found = discover()
    kind = ComponentType("GappySource", ComponentKind.SOURCE, GappySource, GappySourceDescriptor)
    report = attrs.evolve(found, registry=found.registry.with_([kind]))

    def discovered() -> DiscoveryReport:
        return report

    monkeypatch.setattr("queueconnector_core.cli.run.discover", discovered)
    path = tmp_path / "config.json"
    sink = {"type": "FileSink", "path": str(tmp_path / "result")}
    exchange = {"dtype": "int64", "source": {"type": "GappySource"}, "sink": sink}
    path.write_text(json.dumps({"exchanges": [exchange]}))
    return path


def test_each_gap_is_told_once_and_all_at_the_end(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app(["run", str(config), "--interval-s", "0.05"]) == 0

    told = capsys.readouterr().err
    gap = (
        "default[0] gap: far: retention from 1970-01-01T00:00:00.000000000Z "
        "to 1970-01-01T00:00:01.000000000Z, records missing: 7 (deleted)"
    )
    assert told.splitlines().count(gap) == 1
    assert "delivered=2 dropped=0 in_flight=0 dead_lettered=0 gaps=2" in told
    header, *rows = [re.split(" {2,}", line.strip()) for line in told.splitlines()[-3:]]
    assert header == ["exchange", "source", "reason", "from", "to", "records"]
    assert [row[5] for row in rows] == ["7", "unknown"]
    assert rows[1][4] == "goes on"


def test_a_report_tells_counters_health_and_gaps(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    app(["run", str(config), "--report", str(report)])

    told = json.loads(report.read_text())
    exchange = told["exchanges"]["default[0]"]
    assert {name: exchange[name] for name in ("received", "delivered", "gaps", "unhealthy")} == {
        "received": 2, "delivered": 2, "gaps": 2, "unhealthy": None,
    }  # fmt: skip
    assert [gap["reason"] for gap in told["gaps"]] == ["retention", "device away"]
    capsys.readouterr()
    assert app(["gaps", str(report)]) == 0
    assert "retention" in capsys.readouterr().out
    assert app(["gaps", str(report), "--json"]) == 0
    counted, open_ = json.loads(capsys.readouterr().out)
    assert (counted["exchange"], counted["records"], open_["to_ns"]) == ("default[0]", 7, None)


@pytest.mark.parametrize("text", ["{}", "[]", "oops", '{"gaps": [{"exchange": "a"}]}'])
def test_what_is_no_report_is_told_with_what_writes_one(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    assert app(["gaps", str(path)]) == 2
    assert "is no report of a run; queueconnector run --report FILE" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app(["run", str(config), "--report", "/not/there/report.json"]) == 2
    assert "--report: cannot write" in capsys.readouterr().err
    assert not (config.parent / "result").exists()


# The status page


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A run with an exchange that streams and one whose source is away."""
    tmp_path = tmp_path_factory.mktemp("run")
    streaming = {
        "source": {"type": "InMemorySource", "data": ["tick"] * 10_000, "delay": 0.01},
        "sink": {"type": "InMemorySink", "key": "ticks"},
    }
    away = {
        "source": {"type": "FileSource", "path": str(tmp_path / "not-there")},
        "sink": {"type": "InMemorySink", "key": "lines"},
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"exchanges": {"steady": [streaming], "away": [away]}}))
    command = [str(BIN / "queueconnector"), "run", str(path), "--web-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


@pytest.fixture(scope="module")
def address(process: subprocess.Popen[str]) -> str:
    """The address of its status page."""
    assert process.stderr is not None
    told = next(line for line in process.stderr if "status page at" in line)
    return told.split()[-1]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command line prints that is given these arguments."""

    def run(*arguments: str) -> str:
        code = app(list(arguments))
        told = capsys.readouterr()
        assert code == 0, told.err
        return told.out

    return run


def test_prometheus_scrapes_a_run(address: str) -> None:
    def scraped() -> dict[tuple[str, str], float]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = re.findall(r'^(\w+)\{exchange="([^"]+)",group="\w+"\} (\S+)$', text, re.MULTILINE)
        return {(name, exchange): float(value) for name, exchange, value in lines}

    def is_seen() -> bool:
        found = scraped()
        return (
            found.get(("queueconnector_waiting_seconds", "away[0]"), 0) > 0
            and found.get(("queueconnector_records_delivered_total", "steady[0]"), 0) > 0
        )

    wait_until(is_seen, 30, "what streams and what waits")


def test_top_prints_one_table_for_scripts(address: str, printed: Callable[..., str]) -> None:
    def rows() -> dict[str, str] | None:
        header, *lines = printed("top", address, "--once").splitlines()
        assert header.split()[:4] == ["exchange", "state", "in", "/s"]
        found = {line.split()[0]: line for line in lines}
        return found if "waits for" in found["away[0]"] else None

    found = wait_until(rows, 30, "the exchange that waits")
    assert found is not None
    assert found["steady[0]"].split()[1] == "ON"


def test_tap_prints_records_for_people_and_for_programs(
    address: str, printed: Callable[..., str]
) -> None:
    assert printed("tap", address, "steady[0]", "--limit", "2") == '"tick"\n"tick"\n'
    lines = printed("tap", address, "steady[0]", "--limit", "2", "--stage", "source", "--json")
    assert [json.loads(line)["value"] for line in lines.splitlines()] == ["tick", "tick"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["tap", "127.0.0.1:1", "a"], 1, "no answer from http://127.0.0.1:1/: [Errno 111]"),
        (["top", "127.0.0.1:1", "--once"], 1, "no answer from http://127.0.0.1:1/"),
        (["tap", "ftp://somewhere", "a"], 2, "found 'ftp://somewhere'; allowed: the address"),
        (["top", "x", "--once", "--token-file", "/not/there"], 2, "--token-file: cannot be read"),
        (["top", "127.0.0.1:1"], 2, "top needs a terminal; --once prints one table"),
    ],
    ids=["nobody", "nobody once", "no address", "no token", "no terminal"],
)
def test_who_cannot_be_asked_is_told(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app(arguments) == code
    assert told in capsys.readouterr().err


def test_what_a_host_refuses_is_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["tap", address, "nobody[0]"]) == 1
    assert app(["tap", address, "steady[0]", "--stage", "pipe"]) == 1
    told = capsys.readouterr().err
    assert "queueconnector: there is no exchange 'nobody[0]'" in told
    assert "stage: found 'pipe'; allowed: source, sink" in told


def test_an_address_that_cannot_be_had_is_refused_with_the_way_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ["--web-port", "0", "--web-host", "192.0.2.1"]
    assert app(["run", str(config), *address]) == 2
    assert "--web-port: cannot serve at 192.0.2.1:0" in capsys.readouterr().err
    token = ["--web-port", "0", "--web-token-file", "/not/there"]
    assert app(["run", str(config), *token]) == 2
    assert "--web-token-file: no token" in capsys.readouterr().err
