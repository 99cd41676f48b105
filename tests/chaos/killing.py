"""Runs `queueconnector run` between two ends, and kills it while records flow."""

from __future__ import annotations

import json
import random
import sys
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import attrs

from devservices.process import ManagedProcess
from tests.chaos.ends import Feed, Outlet, lane_of, lanes_of
from tests.chaos.ledger import KEYS, Balance, balance_of

TICK_S = 0.02
FEEDING_S = 2.0
SLACK_S = 1.0
"""A commit may be late by so much, on a machine that does other things as well."""
PATIENCE_S = 60.0
STOPPED_BY_SIGTERM = 128 + 15


@attrs.frozen
class Life:
    """One run of the connector that was ended."""

    lasted_s: float
    delivered: int
    at_risk: int
    """Delivered so late before its end that the next run may deliver it once more."""


class Flow:
    """Records that flow from a feed through a connector to an outlet.

    `kill` and `stop` feed while they wait, `share` records more than before, within `FEEDING_S`.
    """

    def __init__(self, feed: Feed, outlet: Outlet, folder: Path, seed: int) -> None:
        self.lives: list[Life] = []
        self.sent = 0
        self._begun_with = 0
        self._goal = 0
        self._feed = feed
        self._outlet = outlet
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._log = folder / "connector.log"
        self._configuration = folder / "configuration.json"
        exchange = {"dtype": "bytes", "source": feed.source, "sink": outlet.sink}
        self._configuration.write_text(json.dumps({"exchanges": [exchange]}))
        self._samples: list[tuple[float, int]] = []
        self._settled = -1

    def kill(self, share: int) -> None:
        """Run it, and kill it at a random point: of time, or of what was delivered."""
        connector = self._start(share)
        if self._random.random() < 0.3:
            end_s = time.monotonic() + self._random.uniform(0, 2.5)
            self._feed_until(lambda: time.monotonic() >= end_s, connector)
        else:
            self._flow(connector, share)
        connector.kill()
        self._note_end()

    def stop(self, share: int) -> None:
        """Run it, and stop it cleanly while records flow."""
        connector = self._start(share)
        self._flow(connector, share)
        connector.stop(grace_s=30)
        assert connector.exit_code == STOPPED_BY_SIGTERM, connector.output()
        self._note_end()

    def settle(self) -> Balance:
        """Run it until all was delivered, then stop it cleanly.

        What comes again comes before the last records, one of each key, that are sent meanwhile.
        """
        connector = self._start(KEYS)
        self._feed.send(self.sent, self._goal)
        self.sent = self._goal
        connector.wait_until(self._is_complete, PATIENCE_S, "the last records")
        connector.stop(grace_s=30)
        assert connector.exit_code == STOPPED_BY_SIGTERM, connector.output()
        return self.balance()

    def _is_complete(self) -> bool:
        """Whether nothing is missing; looked for once nothing more seems to come."""
        before, self._settled = self._settled, self._outlet.count()
        # Two looks with time between them: nothing tells that the flow has ended.
        time.sleep(TICK_S * 10)
        return before == self._settled >= self.sent and self.balance().lost == 0

    def balance(self) -> Balance:
        """What became of all that was sent."""
        return balance_of(
            lanes_of(self._feed, self._outlet),
            self.sent,
            lambda key: lane_of(self._feed, self._outlet, key),
        )

    def _start(self, share: int) -> ManagedProcess:
        self._begun_with = self.sent
        self._goal += share
        self._samples = [(time.monotonic(), self._outlet.count())]
        command = [str(Path(sys.executable).with_name("queueconnector")), "run"]
        return ManagedProcess("connector", [*command, str(self._configuration)], log=self._log)

    def _flow(self, connector: ManagedProcess, share: int) -> None:
        """Wait for a random part of the share, and then some of the time between commits."""
        wanted = self._samples[0][1] + self._random.randint(1, max(1, share * 9 // 10))
        self._feed_until(lambda: self._samples[-1][1] >= wanted, connector)
        end_s = time.monotonic() + self._random.uniform(0, 5 * self._feed.commit_interval_s)
        self._feed_until(lambda: time.monotonic() >= end_s, connector)

    def _feed_until(self, condition: Callable[[], bool], connector: ManagedProcess) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert connector.is_running, connector.output()
            assert time.monotonic() < deadline_s, connector.output()[-2000:]
            after = min(self._goal, self._begun_with + self._due())
            self._feed.send(self.sent, after)
            self.sent = max(self.sent, after)
            # The pace of feeding, and of the samples that bound the duplicates.
            time.sleep(TICK_S)
            self._samples.append((time.monotonic(), self._outlet.count()))

    def _due(self) -> int:
        """How many records should have been sent by now: some at once, the rest as it flows."""
        share = self._goal - self._begun_with
        first = bisect_right(self._samples, self._samples[0][1], key=lambda sample: sample[1])
        flowed_s = time.monotonic() - self._samples[first][0] if first < len(self._samples) else 0
        return 1 + share // 10 + int(share * flowed_s / FEEDING_S)

    def _note_end(self) -> None:
        end_s, delivered = time.monotonic(), self._outlet.count()
        began_s, before = self._samples[0]
        kept_s = end_s - self._feed.commit_interval_s - SLACK_S
        kept = self._samples[max(0, bisect_right(self._samples, (kept_s, 0)) - 1)][1]
        self.lives.append(Life(end_s - began_s, delivered - before, delivered - kept))
