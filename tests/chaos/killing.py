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

    Each method feeds while it waits, `share` records within about two seconds.
    """

    def __init__(self, feed: Feed, outlet: Outlet, folder: Path, seed: int) -> None:
        self.lives: list[Life] = []
        self.sent = 0
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
        connector, until = self._start(share), self.sent + share
        if self._random.random() < 0.3:
            end_s = time.monotonic() + self._random.uniform(0, 2.5)
            self._feed_until(lambda: time.monotonic() >= end_s, connector, until)
        else:
            self._flow(connector, until, share)
        connector.kill()
        self._note_end()

    def stop(self, share: int) -> None:
        """Run it, and stop it cleanly while records flow."""
        connector, until = self._start(share), self.sent + share
        self._flow(connector, until, share)
        connector.stop(grace_s=30)
        assert connector.exit_code == STOPPED_BY_SIGTERM, connector.output()
        self._note_end()

    def settle(self) -> Balance:
        """Run it until all was delivered, then stop it cleanly.

        What comes again comes before the last records, one of each key, that are sent meanwhile.
        """
        connector = self._start(0)
        self._feed.send(self.sent, self.sent + KEYS)
        self.sent += KEYS
        connector.wait_until(self._is_complete, PATIENCE_S, "the last records")
        connector.stop(grace_s=30)
        assert connector.exit_code == STOPPED_BY_SIGTERM, connector.output()
        return self.balance()

    def _is_complete(self) -> bool:
        """Whether nothing is missing; looked for once nothing more seems to come."""
        before, self._settled = self._settled, self._outlet.count()
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
        self._chunk = max(1, share // 100)
        self._samples = [(time.monotonic(), self._outlet.count())]
        command = [str(Path(sys.executable).with_name("queueconnector")), "run"]
        return ManagedProcess("connector", [*command, str(self._configuration)], log=self._log)

    def _flow(self, connector: ManagedProcess, until: int, share: int) -> None:
        """Wait for a random part of the share, and then some of the time between commits."""
        wanted = self._samples[0][1] + self._random.randint(1, max(1, share * 9 // 10))
        self._feed_until(lambda: self._samples[-1][1] >= wanted, connector, until)
        end_s = time.monotonic() + self._random.uniform(0, 5 * self._feed.commit_interval_s)
        self._feed_until(lambda: time.monotonic() >= end_s, connector, until)

    def _feed_until(
        self, condition: Callable[[], bool], connector: ManagedProcess, until: int
    ) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert connector.is_running, connector.output()
            assert time.monotonic() < deadline_s, connector.output()[-2000:]
            after = min(self.sent + self._chunk, until)
            self._feed.send(self.sent, after)
            self.sent = after
            time.sleep(TICK_S)
            self._samples.append((time.monotonic(), self._outlet.count()))

    def _note_end(self) -> None:
        end_s, delivered = time.monotonic(), self._outlet.count()
        began_s, before = self._samples[0]
        kept_s = end_s - self._feed.commit_interval_s - SLACK_S
        kept = self._samples[max(0, bisect_right(self._samples, (kept_s, 0)) - 1)][1]
        self.lives.append(Life(end_s - began_s, delivered - before, delivered - kept))
