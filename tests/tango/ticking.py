"""A ticking device server, and the proof that nothing of it was lost without a word."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from devservices.tango import TangoDatabase, TangoDeviceServer
from queueconnector_core.gaps import Gap
from queueconnector_core.record import Record


class Ticking(TangoDeviceServer):
    """A device server that can be killed, frozen and changed; it writes down what it pushed."""

    def __init__(
        self,
        ticks: Path,
        *,
        tick_s: float = 0.02,
        kind: str = "int",
        database: TangoDatabase | None = None,
        **environment: str,
    ) -> None:
        super().__init__(
            [sys.executable, str(Path(__file__).parent / "ticking_device.py")],
            "ticking_device",
            "test",
            "Ticking",
            ["test/ticking/1"],
            database=database,
            environment={
                "TICKS": str(ticks),
                "TICK_S": str(tick_s),
                "KIND": kind,
                **environment,
            },
        )
        self._ticks = ticks

    def options(self, **options: Any) -> dict[str, Any]:
        """The configuration of a source that subscribes to its number."""
        return {
            "type": "TangoSubscriptionSource",
            "device_name": self.trl(),
            "attribute_name": "number",
            **options,
        }

    @property
    def pushed(self) -> list[int]:
        """What it has pushed: the time of each tick in microseconds, which is its value too."""
        lines = self._ticks.read_text().splitlines() if self._ticks.exists() else []
        return [int(line) for line in lines]


def lost_in_silence(pushed: Iterable[int], records: list[Record], gaps: list[Gap]) -> list[int]:
    """The ticks, since the source was started, that came neither as a record nor within a gap."""
    came: set[Any] = {record.value for record in records}
    # What is pushed before `start` returns, 0.05 s after the first record, need not come.
    first = min(came) + 50_000
    return [
        tick
        for tick in pushed
        if tick > first
        and tick not in came
        and not any(
            gap.from_ns <= tick * 1_000 and (gap.to_ns is None or tick * 1_000 <= gap.to_ns)
            for gap in gaps
        )
    ]
