"""A sink that is slower than a Tango device: memory is bounded and every record is accounted for.

Promise: whatever `overflow` says, what was pushed = what was delivered + what the gap ledger counts
as lost, to the record; received = delivered + dropped.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devservices.process import ManagedProcess, wait_until
from tests.chaos.soaking import Ramp

POLICIES = ("block", "drop_oldest", "drop_newest", "latest_only", "fail")
RATE = 400
"""Values a second that the device pushes; the sink takes half of them."""
SECONDS_A_RECORD = 2 / RATE
BUFFER_SIZE = 500
SHORT_S, LONG_S = 6.0, 600.0
GROWTH_KB, SHORT_GROWTH_KB = 5_000, 25_000
PATIENCE_S = 600.0
"""With `block` some ten thousand events wait in the buffers of ZeroMQ and of the kernel."""
COUNTERS = ("received", "delivered", "dropped", "gaps", "records_lost", "uncounted")


def _same(lines: list[dict[str, Any]]) -> bool:
    return all(line[name] == lines[0][name] for line in lines for name in COUNTERS)


class SlowExchange:
    """A process with one exchange of a given policy."""

    def __init__(self, device: str, policy: str, folder: Path, quiet_s: float) -> None:
        script = str(Path(__file__).with_name("slow_exchange.py"))
        arguments = [device, policy, str(BUFFER_SIZE), str(SECONDS_A_RECORD), str(quiet_s)]
        self.process = ManagedProcess(
            policy,
            [sys.executable, script, *arguments],
            log=folder / f"{policy}.log",
            stdin=subprocess.PIPE,
        )

    def lines(self) -> list[dict[str, Any]]:
        whole = self.process.output().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def await_subscription(self) -> None:
        """Wait for the first values, of before, and until nothing moves any more."""
        self.process.wait_until(self._stands_still, 60, "its first values")
        self._first = self.lines()[-1]

    def _stands_still(self) -> bool:
        lines = self.lines()[-4:]
        return len(lines) == 4 and lines[0]["received"] > 0 and _same(lines)

    def end(self) -> None:
        """Begin to wait until nothing comes any more, and to end."""
        self.process.write_line("stop")

    def report(self) -> dict[str, Any]:
        """What it tells at its end, and what it had received and dropped before values came."""
        what = f"the report of {self.process.name}"
        wait_until(lambda: not self.process.is_running, PATIENCE_S, what)
        assert self.process.exit_code == 0, self.process.output()
        found: dict[str, Any] = self.lines()[-1]["report"]
        first = self._first
        return found | {
            "at_first": first["received"],
            "dropped_at_first": first["dropped"],
            "uncounted": found["uncounted"] - first["uncounted"],
        }

    def resident_kb(self) -> tuple[float, float]:
        """The median of the first quarter of the time, and of the last."""
        series = [line["resident_kb"] for line in self.lines() if "resident_kb" in line]
        size = max(1, len(series) // 4)
        return statistics.median(series[:size]), statistics.median(series[-size:])


@pytest.fixture
def ramp() -> Iterator[Ramp]:
    Ramp.check()
    with Ramp() as ramp:
        yield ramp


@pytest.mark.timeout(3600)
def test_each_policy_keeps_its_balance_in_bounded_memory(
    ramp: Ramp, tmp_path: Path, is_long: bool, tell: Callable[..., None]
) -> None:
    pushed = int(RATE * (LONG_S if is_long else SHORT_S))
    found, memory = flow(ramp, tmp_path, pushed)
    tell(
        pushed=pushed,
        **{
            policy: f"[{report['received']:,} received, {report['delivered']:,} delivered, "
            f"{report['dropped']:,} dropped, {report['gaps']} gaps of {report['records_lost']:,}, "
            f"{memory[policy][0]:g} -> {memory[policy][1]:g} kB]"
            for policy, report in found.items()
        },
    )
    for policy, report in found.items():
        assert report["received"] == report["delivered"] + report["dropped"], report
        assert report["in_sink"] == report["delivered"], report
        assert report["in_flight"] == report["repeated"] == report["uncounted"] == 0, report
        first_kb, last_kb = memory[policy]
        assert last_kb - first_kb < (GROWTH_KB if is_long else SHORT_GROWTH_KB), policy
    fault = found.pop("fail")["fault"]
    assert "overflow is fail" in fault
    for report in found.values():
        assert not report["fault"]
        assert report["delivered"] + report["records_lost"] == pushed + report["at_first"], report
        missing = report["missing"] + pushed - report["last"]
        assert missing + report["dropped_at_first"] == report["records_lost"], report
    assert found.pop("block")["dropped"] == 0
    for report in found.values():
        assert report["dropped"] == report["records_lost"] > 0, report


def flow(
    ramp: Ramp, folder: Path, pushed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[float, float]]]:
    """Let so many values flow through one exchange of each policy: reports, and memory in kB."""
    # A window of TCP that was shut for long takes its time to open again.
    quiet_s = 2.0 if pushed <= RATE * SHORT_S else 20.0
    exchanges = {name: SlowExchange(ramp.trl(), name, folder, quiet_s) for name in POLICIES}
    try:
        for exchange in exchanges.values():
            exchange.await_subscription()
        ramp.proxy().Begin([pushed, RATE])
        wait_until(lambda: ramp.proxy().count == pushed, LONG_S + PATIENCE_S, "the last value")
        for exchange in exchanges.values():
            exchange.end()
        return (
            {policy: exchange.report() for policy, exchange in exchanges.items()},
            {policy: exchange.resident_kb() for policy, exchange in exchanges.items()},
        )
    finally:
        for exchange in exchanges.values():
            exchange.process.stop()
