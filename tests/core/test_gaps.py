"""The gap ledger: every known loss window is one entry, and the memory of it is bounded."""

from __future__ import annotations

from queueconnector_core.gaps import KEPT_GAPS, Gap, GapLedger, GapReason


def gap(number: int, records: int | None = 1) -> Gap:
    return Gap("a/b/c/d", GapReason.RETENTION, number, number + 1, records, is_exact=True)


def test_a_closed_gap_is_an_entry_and_counts_what_it_cost() -> None:
    ledger = GapLedger()
    ledger.add(gap(1, records=7))
    ledger.add(gap(2, records=None))
    assert [entry.from_ns for entry in ledger] == [1, 2]
    assert (ledger.total, ledger.records_lost, ledger.uncounted) == (2, 7, 1)


def test_a_gap_that_goes_on_is_an_entry_without_an_end() -> None:
    ledger = GapLedger()
    opened = ledger.open("a/b/c/d", GapReason.DEVICE_AWAY, 5)
    assert [entry.to_ns for entry in ledger] == [None]
    opened.close(9, 3)
    assert [(entry.from_ns, entry.to_ns, entry.records) for entry in ledger] == [(5, 9, 3)]


def test_only_the_first_close_counts() -> None:
    ledger = GapLedger()
    opened = ledger.open("a/b/c/d", GapReason.DEVICE_AWAY)
    opened.close(records=1)
    opened.close(records=2)
    assert (ledger.total, ledger.records_lost) == (1, 1)


def test_a_window_in_which_nothing_was_lost_is_no_gap() -> None:
    ledger = GapLedger()
    ledger.open("a/b/c/d", GapReason.DEVICE_AWAY).close(records=0, is_exact=True)
    assert (ledger.total, ledger.entries()) == (0, [])


def test_an_estimate_of_nothing_remains_an_entry() -> None:
    ledger = GapLedger()
    ledger.open("a/b/c/d", GapReason.DEVICE_AWAY).close(records=0)
    assert ledger.total == 1


def test_the_latest_entries_are_kept_and_the_counters_go_on() -> None:
    ledger = GapLedger()
    for number in range(KEPT_GAPS + 5):
        ledger.add(gap(number))
    assert len(ledger.entries()) == KEPT_GAPS
    assert ledger.entries()[0].from_ns == 5
    assert ledger.total == ledger.records_lost == KEPT_GAPS + 5


def test_whoever_listens_hears_each_gap_once_its_end_is_known() -> None:
    ledger = GapLedger()
    heard: list[Gap] = []
    ledger.on_closed = heard.append
    opened = ledger.open("a/b/c/d", GapReason.DEVICE_AWAY, 5)
    assert heard == []
    opened.close(9)
    ledger.add(gap(1))
    assert [entry.reason for entry in heard] == [GapReason.DEVICE_AWAY, GapReason.RETENTION]


def test_an_entry_as_json_has_plain_values() -> None:
    assert gap(1).as_json() == {
        "source": "a/b/c/d",
        "reason": "retention",
        "from_ns": 1,
        "to_ns": 2,
        "records": 1,
        "is_exact": True,
        "text": "",
    }
