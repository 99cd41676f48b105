"""However events are lost, and whenever it is asked: what is told adds up to what was lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queueconnector_tango.tally import Loss, Tally

# What happens to each event, or a question: an event may come while its number cannot be had.
STEPS = st.lists(st.sampled_from(["comes", "comes without a number", "is lost", "asked"]))


class Stream:
    """What Tango does: it reports a jump in the numbers just before the event behind it."""

    def __init__(self, pushed_before: int) -> None:
        self.tally = Tally()
        self.pushed = pushed_before
        self.lost = 0
        self._lost_since = 0
        self.comes(has_number=True)

    def comes(self, *, has_number: bool) -> None:
        self.pushed += 1
        self.lost += self._lost_since
        if self._lost_since:
            self.tally.suspect()
        self._lost_since = 0
        self.tally.came += 1
        if self.tally.is_due and has_number:
            self.tally.number(self.pushed)

    def is_lost(self) -> None:
        self.pushed += 1
        self._lost_since += 1

    def lost_in_the_end(self) -> int:
        return self._lost_since


@given(pushed_before=st.integers(0, 10**12), steps=STEPS)
def test_losses_that_are_told_add_up(pushed_before: int, steps: list[str]) -> None:
    stream = Stream(pushed_before)
    told = 0
    for step in steps:
        if step == "is lost":
            stream.is_lost()
        elif step == "asked":
            told += records(stream.tally.take())
            assert told <= stream.lost
        else:
            stream.comes(has_number=step == "comes")
    stream.comes(has_number=True)
    told += records(stream.tally.take())
    assert told == stream.lost


@given(steps=STEPS)
def test_a_quiet_moment_shows_what_was_lost_after_the_last_event(steps: list[str]) -> None:
    stream = Stream(0)
    for step in steps:
        if step == "is lost":
            stream.is_lost()
        elif step != "asked":
            stream.comes(has_number=step == "comes")
    tally = stream.tally
    tally.look(stream.pushed, tally.came - 1, tally.came)
    assert tally.take_tail() is None
    tally.look(stream.pushed, tally.came, tally.came)
    assert tally.take_tail() == Loss(stream.lost + stream.lost_in_the_end(), is_exact=True)
    stream.comes(has_number=True)
    assert tally.take() == Loss(0, is_exact=True)


def test_nothing_is_known_before_the_first_number_and_after_a_restart() -> None:
    tally = Tally()
    assert (tally.is_due, tally.is_known, tally.take()) == (True, False, None)
    tally.number(7)
    assert tally.take() == Loss(0, is_exact=True)
    tally.forget()
    assert (tally.is_due, tally.is_known, tally.take()) == (True, False, None)


def test_a_number_corrects_what_a_quiet_moment_seemed_to_show() -> None:
    tally = Tally()
    # An event was still on its way.
    tally.look(1, 0, 0)
    tally.learn()
    tally.came += 1
    tally.number(1)
    assert tally.take() == Loss(0, is_exact=True)


def test_what_is_lost_before_the_first_event_counts_from_a_quiet_moment() -> None:
    tally = Tally()
    tally.look(5, 0, 0)
    tally.learn()
    tally.suspect()
    tally.came += 1
    tally.number(9)
    assert tally.take() == Loss(3, is_exact=True)


def records(loss: Loss | None) -> int:
    return 0 if loss is None else loss.records
