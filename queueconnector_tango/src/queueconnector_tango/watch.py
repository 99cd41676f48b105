"""One attribute under watch: is its stream of events whole, and if not, what was lost?"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs

from queueconnector_core.gaps import Gap, GapLedger, GapReason
from queueconnector_tango._census import CENSUS
from queueconnector_tango._events import SUBSCRIBED, Outage, Reading, read_value
from queueconnector_tango._lookout import Polled, counter_key
from queueconnector_tango._proxy import Subscription
from queueconnector_tango.doubt import Doubt, Missed, Proof
from queueconnector_tango.rate import Rate
from queueconnector_tango.repeats import is_news, is_within
from queueconnector_tango.tally import Loss, Tally

__all__ = ("Watch", "MOMENT_S", "QUIET_S")

logger = logging.getLogger(__name__)

MOMENT_S: Final = 0.3
"""An event that is on its way when its value is read has arrived after so long."""

QUIET_S: Final = 1.0
"""ZeroMQ passes a subscription on in the background, which takes 20 ms, on a busy machine half a
second: an attribute without events is read for so long before its silence is believed."""

RECONNECTING_S: Final = 12.0
"""Tango itself looks after its connections every ten seconds."""

NOTHING: Final = Loss(0, is_exact=True)


class Watch:
    """What is known of one subscription, and of the gap in it, if there is one.

    `arrived` and `trouble` are called in threads of Tango, everything else in the event loop.
    `deliver` is given the values that no event told, in order, with `polled` or `history`.
    """

    def __init__(
        self,
        subscription: Subscription,
        ledger: GapLedger,
        deliver: Callable[[Polled, str], None],
        *,
        exchange: str,
        polls: bool,
        heartbeat_s: float,
        poll_s: float,
    ) -> None:
        self.subscription = subscription
        self.polls = polls
        """Whether reading the attribute gives what its events tell."""
        self.heartbeat_s = heartbeat_s
        self.poll_s = poll_s
        self.ready_ns: int | None = None
        """When the source was ready, in nanoseconds since the Unix epoch: from then on an event
        that does not come is missing."""
        self.heard_at = 0.0
        """When anything but an error came last."""
        self.key = ""
        """What Tango's counters call its events; empty until the first one."""
        self.tally = Tally()
        self.wake: Callable[[], None] = lambda: None
        """Called in any thread when something must be looked at soon."""
        self.is_held_up: Callable[[], bool] = lambda: False
        """Whether Tango's thread waits for an exchange, so that events are late."""
        self._ledger = ledger
        self._deliver = deliver
        self._exchange = exchange
        self._began = time.monotonic()
        self._began_ns = time.time_ns()
        self._arrived_at = 0.0
        self._latest: Any = None
        self._rate = Rate(self._began)
        self._troubles: deque[Outage] = deque(maxlen=100)
        self._missed: Missed | None = None
        self._doubt: Doubt | None = None
        self._proof: Proof | None = Proof(self._began, QUIET_S)
        self._compares = polls
        self._suspected_at: float | None = None

    @property
    def name(self) -> str:
        """The attribute, with its device."""
        return self.subscription.name

    def arrived(self, event: Any) -> bool:
        """An event with a value, or with quality INVALID; True: Tango has read it by itself."""
        if not self.key:
            self.key = counter_key(f"{event.attr_name}.{event.event}")
            CENSUS.join(self.key, self.tally)
        self._latest = event
        self.heard_at = now = time.monotonic()
        reason = event.event_reason
        if CENSUS.is_numbered(reason):
            self.tally.came += 1
            if self.tally.is_due:
                CENSUS.take(self.key, self.tally)
        if reason is SUBSCRIBED:
            return True
        if self._proof is not None and self._proof.first is None:
            self._proof.first = event
        self._arrived_at = now
        return False

    def trouble(self, event: Any, outage: Outage) -> None:
        """An event that tells an error."""
        is_numbered = CENSUS.is_numbered(event.event_reason)
        if outage.missed:
            if self._missed is None:
                self._missed = Missed(self._last_ns(), self._arrived_at)
            self._missed.latest = time.monotonic()
            self.tally.suspect()
        elif is_numbered:
            # The device pushed an error as an event.
            self.tally.came += 1
        self._troubles.append(outage)
        if self._doubt is None:
            self.wake()

    @property
    def in_doubt(self) -> bool:
        """Whether events may be missing now."""
        return self._doubt is not None

    @property
    def must_be_read(self) -> bool:
        """Whether the value is to be read now, as events are not proven."""
        return self.polls and (self._doubt is not None or self._proof is not None)

    @property
    def must_be_renewed(self) -> bool:
        """Whether the subscription is to be made anew."""
        return self._doubt is not None and self._doubt.renewal

    @property
    def must_be_counted(self) -> bool:
        """Whether the counters are needed to know what was lost."""
        if self._doubt is not None:
            is_wanted = self._doubt.renewed_at is not None and self._doubt.is_countable
        else:
            is_wanted = self._missed is not None and self._missed.is_over
        return is_wanted and self.tally.is_due

    @property
    def may_be_counted(self) -> bool:
        """Whether the counters should be compared, to know later what was lost."""
        return bool(self.key) and not self.tally.is_known

    @property
    def known(self) -> Reading | None:
        """The latest value that was delivered."""
        return None if self._latest is None else _known(self._latest)

    def is_silent(self, since: float) -> bool:
        """Whether no event came since, although all seemed well."""
        return self._doubt is None and 0 < self.heard_at < since and not self.is_held_up()

    @property
    def compares(self) -> bool:
        """Whether a reading that differs tells an event that did not come."""
        return self._compares

    def take_troubles(self) -> bool:
        """Begin to doubt what errors told; True: the whole connection for events is broken."""
        broken = False
        while self._troubles:
            outage = self._troubles.popleft()
            if outage.missed:
                continue
            broken = broken or outage.disconnected
            self.doubt(GapReason.EVENT_TIMEOUT, outage.text, renewal=outage.unsubscribed)
        if self._doubt is None:
            self._rate.note(time.monotonic(), self.tally.came)
        return broken

    def doubt(
        self, reason: GapReason, text: str, *, renewal: bool = False, is_countable: bool = True
    ) -> None:
        """Events may be missing from now on, because of `text`."""
        doubt = self._doubt
        if doubt is None:
            gap = self._ledger.open(self.name, reason, self._last_ns(), text)
            last = max(self._arrived_at, self._rate.noted_at)
            doubt = self._doubt = Doubt(
                gap, time.monotonic(), last, self._per_second(), False, True
            )
            logger.warning("%s: %s: no events: %s", self._exchange, self.name, text)
        elif reason is GapReason.DEVICE_AWAY and doubt.gap.gap.reason is not reason:
            doubt.gap.gap = attrs.evolve(doubt.gap.gap, reason=reason, text=text)
        if not is_countable:
            doubt.is_countable = False
            self.tally.forget()
        if renewal or not self.heard_at:
            doubt.renewal, doubt.renewed_at = True, None

    def renewed(self, refused: str) -> None:
        """The subscription was made anew, or was not, for a reason."""
        if self._doubt is not None and not refused:
            self._doubt.renewal = False
            self._doubt.renewed_at = time.monotonic()
            self.tally.suspect()

    def polled(self, answer: Polled | str, asked: float) -> None:
        """The attribute was read at `asked`; what no event told is delivered, oldest first.

        A text says why it could not be read.
        """
        if isinstance(answer, str):
            self._proof = None
            return
        if self._doubt is None and self._proof is not None:
            self._prove(self._proof, answer, asked)
            return
        is_news = not self._is_flowing and self._tell_all(answer)
        if self._doubt is not None:
            self._doubt.read_at = asked
            if is_news and self._doubt.news_at is None:
                self._doubt.news_at = asked

    def _prove(self, proof: Proof, answer: Polled, asked: float) -> None:
        """See whether the first events came; those that are on their way are waited for."""
        if proof.first is not None:
            self._proof = None
            if proof.news and proof.news.timestamp_ns < _known(proof.first).timestamp_ns:
                text = "the first events after the subscription did not come"
                self._enter(GapReason.EVENT_TIMEOUT, self._began_ns, None, text)
        elif asked > proof.since + QUIET_S:
            if asked > proof.since + proof.within_s:
                self._proof = None
            if self._tell(answer, "polled"):
                self._proof = None
                if self._changes_without_events():
                    return
                text = "no event came after the subscription, and the value has changed"
                self.doubt(GapReason.EVENT_TIMEOUT, text, renewal=True, is_countable=False)
        elif self.ready_ns is not None and proof.news is None and self.differs(answer):
            proof.news = answer.reading if answer.reading.timestamp_ns > self.ready_ns else None

    @property
    def _is_flowing(self) -> bool:
        """Whether events come now: then those that are on their way may tell what was read."""
        return time.monotonic() < self._arrived_at + MOMENT_S or self.is_held_up()

    def _tell_all(self, answer: Polled) -> bool:
        if self._doubt is not None:
            for reading in answer.history:
                self._tell(Polled(reading, answer.form), "history")
        return self._tell(answer, "polled")

    def _tell(self, polled: Polled, kind: str) -> bool:
        known = self.known
        if known is not None and not is_news(polled.reading, known):
            return False
        self._latest = polled.reading
        if self._doubt is not None:
            self._doubt.polled += known is not None
        self._deliver(polled, kind)
        return True

    def settle(self) -> None:
        """Draw the conclusions: the gap ends, or the subscription must be renewed."""
        doubt = self._doubt
        if doubt is None:
            self._settle_missed()
        elif doubt.renewal:
            return
        elif doubt.renewed_at is not None:
            last = doubt.read_at if self.polls else time.monotonic()
            if self._arrived_at > doubt.renewed_at or last > doubt.renewed_at + QUIET_S:
                is_countable = doubt.is_countable and self.tally.is_known
                if self.tally.is_ready or not is_countable or doubt.has_waited:
                    self._close(doubt, self._counted(doubt))
        elif self._arrived_at > doubt.began:
            # Tango itself looks at the numbers of events, and says so when one is missing.
            self._close(doubt, NOTHING if self._missed is None else self._counted(doubt))
        elif doubt.news_at is not None:
            doubt.renewal = time.monotonic() > doubt.news_at + MOMENT_S
        elif not self.polls or doubt.read_at:
            # The same process as before, and nothing has changed: the numbers of events go on.
            self._close(doubt, NOTHING)

    def _counted(self, doubt: Doubt) -> Loss | None:
        """What was lost less what was read instead, estimated if need be; None: nobody knows."""
        self._missed = None
        if doubt.numbers_go_on and (loss := self.tally.take()) is not None:
            return attrs.evolve(loss, records=max(loss.records - doubt.polled, 0))
        self.tally.accept()
        return doubt.estimate()

    def end(self) -> None:
        """Nothing is watched any more; a gap that goes on is told as it is."""
        if self._doubt is not None:
            text = f"{self._doubt.gap.gap.text}; it went on when the exchange stopped"
            loss = self._doubt.estimate()
            self._doubt.gap.close(records=None if loss is None else loss.records, text=text)
            self._doubt = None
        elif self._missed is not None:
            self._tell_missed(self._missed)

    def _settle_missed(self) -> None:
        missed = self._missed
        if missed is None:
            self.tally.learn()
        elif missed.is_over and (self.tally.is_ready or missed.has_waited):
            self._tell_missed(missed)

    def _tell_missed(self, missed: Missed) -> None:
        self._missed = None
        loss = self.tally.take()
        if loss is None:
            self.tally.accept()
            loss = missed.estimate(self._per_second())
        self._enter(GapReason.EVENTS_MISSED, missed.from_ns, loss, "Tango's buffers were full")

    def _enter(self, reason: GapReason, from_ns: int, loss: Loss | None, text: str) -> None:
        if loss == NOTHING:
            return
        records, is_exact = (None, False) if loss is None else (loss.records, loss.is_exact)
        gap = Gap(self.name, reason, from_ns, time.time_ns(), records, is_exact, text)
        self._ledger.add(gap)
        count = "some" if records is None else records
        logger.warning("%s: %s: %s events were lost: %s", self._exchange, self.name, count, text)

    def _close(self, doubt: Doubt, loss: Loss | None) -> None:
        doubt.close(loss)
        now = time.monotonic()
        away_s = now - doubt.began
        logger.warning("%s: %s: events again after %.1f s", self._exchange, self.name, away_s)
        self._doubt = self._proof = None
        if doubt.renewed_at is not None and self._arrived_at < doubt.renewed_at:
            # Tango may be about to connect anew by itself, too.
            self._proof = Proof(now, RECONNECTING_S)
        self._rate.begin(now, self.tally.came)

    def _per_second(self) -> float | None:
        return self._rate.per_second(self._arrived_at, self.tally.came)

    def _last_ns(self) -> int:
        known = self.known
        return self._began_ns if known is None else known.timestamp_ns

    # Read-back of an attribute that is quiet in good health.

    def differs(self, polled: Polled) -> bool:
        """Whether a reading tells a change that should have been an event."""
        known = self.known
        if known is None or self._doubt is not None or self._is_flowing:
            return False
        return is_news(polled.reading, known)

    def audit(self, polled: Polled | None = None) -> bool:
        """The counters were looked at in a silence: events that are lost now stay lost.

        The last of them was read instead, if it was `polled`. True: there are some.
        """
        known = self.known
        loss = None if known is None else self.tally.take_tail()
        if known is None or loss is None or not loss.records:
            return False
        self._missed = None
        is_told = polled is not None and self._tell(polled, "polled")
        text = "dropped on their way, after the last event"
        loss = attrs.evolve(loss, records=loss.records - is_told)
        self._enter(GapReason.EVENTS_MISSED, known.timestamp_ns, loss, text)
        return True

    def suspect(self, polled: Polled, least_change: tuple[float, float]) -> None:
        """It differs still, a moment later, and the counters were looked at."""
        known = self.known
        if known is None or self.audit(polled):
            return
        is_small = is_within(polled.reading.value, known.value, *least_change)
        if is_small or self._changes_without_events():
            return
        self._suspected_at = time.monotonic()
        text = "its value changed without an event"
        self.doubt(GapReason.EVENT_TIMEOUT, text, renewal=True, is_countable=False)

    def _changes_without_events(self) -> bool:
        """Whether its value changed once more although no event came since it was doubted."""
        if self._suspected_at is None or self._arrived_at >= self._suspected_at:
            return False
        self._compares = False
        logger.info("%s: %s changes without events", self._exchange, self.name)
        return True


def _known(told: Any) -> Reading:
    return told if isinstance(told, Reading) else read_value(told.attr_value)
