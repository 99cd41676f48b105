"""The demo as its user runs it: the whole loop, its exit codes, and what it leaves behind."""

import signal
from pathlib import Path

import pytest

from devservices.kafka import KafkaBroker
from devservices.process import free_port
from tests.demo.running import Run


@pytest.fixture
def path_without_java(tmp_path: Path) -> str:
    empty = tmp_path / "bin"
    empty.mkdir()
    return str(empty)


def test_the_error_of_each_dish_falls_on_a_broker_of_ones_own(
    tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    arguments = ["--dishes", "2", "--duration", "12", "--scan", "2", "--rate", "10"]
    demo = Run(tmp_path, *arguments, "--kafka", kafka_broker.bootstrap, "--seed", "1")
    assert demo.exit_code() == 0, demo.output
    assert f"Kafka: {kafka_broker.bootstrap}" in demo.output
    assert "yours, as asked for with --kafka" in demo.output
    scans = [line for line in demo.output.splitlines() if line.startswith("scan ")]
    assert len(scans) == 6
    first, last = ([float(word) for word in scans[n].split()[-3::2]] for n in (0, -1))
    assert all(after < before / 3 for before, after in zip(first, last, strict=True))
    assert (tmp_path / "pointing_residuals.png").read_bytes().startswith(b"\x89PNG")
    assert demo.left_behind() == []


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [("dishes follow", signal.SIGTERM, 143), ("scan   1", signal.SIGINT, 130)],
)
def test_an_interrupted_run_stops_everything(
    tmp_path: Path, path_without_java: str, moment: str, number: signal.Signals, code: int
) -> None:
    demo = Run(tmp_path, "--dishes", "1", "--scan", "1", path=path_without_java)
    demo.wait_for(moment)
    assert "embedded, because Apache Kafka cannot run here: no java on PATH" in demo.output
    demo.signal(number)
    assert demo.exit_code() == code, demo.output
    assert "Traceback" not in demo.output
    assert demo.left_behind() == []


def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    demo = Run(tmp_path, "--kafka", address)
    assert demo.exit_code() == 1
    assert f"failed: --kafka {address}: no Kafka broker answers there" in demo.output
    assert demo.left_behind() == []


def test_options_that_make_no_run_end_it_at_once(tmp_path: Path) -> None:
    demo = Run(tmp_path, "--duration", "3")
    assert demo.exit_code() == 1
    assert "failed: --duration 3: too short" in demo.output
