"""What is known of a record is the same after a hop through message headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.provenance import headers_of, restored, time_of, time_text
from queueconnector_core.record import Metadata, Quality, TimestampOrigin

YEAR_9999_NS = 253_402_300_799_999_999_999

known = st.builds(
    Metadata,
    timestamp_ns=st.integers(0, YEAR_9999_NS),
    timestamp_origin=st.sampled_from(TimestampOrigin),
    quality=st.sampled_from(Quality),
    source=st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
    event=st.sampled_from(["change", "initial", "polled"]),
    sequence=st.integers(1, 2**63),
)


def hop(metadata: Metadata, configuration: str = "0123456789ab") -> Metadata:
    return restored(Metadata(headers=headers_of(metadata, configuration)))


@given(known)
def test_two_hops_change_nothing(metadata: Metadata) -> None:
    once = hop(metadata)
    twice = hop(once, "ba9876543210")
    for after in (once, twice):
        assert after.timestamp_ns == metadata.timestamp_ns
        assert after.timestamp_origin is metadata.timestamp_origin
        assert after.quality is metadata.quality
        assert after.source == metadata.source
        assert after.event == metadata.event
        assert after.sequence == metadata.sequence
    assert dict(twice.headers)["ce_configuration"] == b"0123456789ab"


def test_the_headers_are_those_of_cloudevents() -> None:
    metadata = Metadata(
        1_700_000_000_123_456_789,
        TimestampOrigin.SOURCE,
        quality=Quality.ALARM,
        position="sys/tg_test/1/double_scalar#7",
        source="tango://host:10000/sys/tg_test/1/double_scalar",
        event="change",
        sequence=7,
    )
    assert dict(headers_of(metadata, "0123456789ab")) == {
        "ce_specversion": b"1.0",
        "ce_id": b"sys/tg_test/1/double_scalar#7",
        "ce_source": b"tango://host:10000/sys/tg_test/1/double_scalar",
        "ce_type": b"queueconnector.change",
        "ce_time": b"2023-11-14T22:13:20.123456789Z",
        "ce_timeorigin": b"source",
        "ce_quality": b"ALARM",
        "ce_sequence": b"7",
        "ce_configuration": b"0123456789ab",
    }


def test_headers_of_other_programs_stay() -> None:
    headers = headers_of(Metadata(1, headers=(("trace", b"1"), ("trace", b"2"))), "c")
    assert headers[:2] == (("trace", b"1"), ("trace", b"2"))


@pytest.mark.parametrize(
    ("header", "octets"),
    [
        ("ce_time", b"yesterday"),
        ("ce_time", b"2023-13-45T99:00:00Z"),
        ("ce_quality", b"GOOD"),
        ("ce_sequence", b"-1"),
        ("ce_sequence", b"9" * 5_000),
        ("ce_timeorigin", b"\xff"),
    ],
)
def test_headers_that_cannot_be_read_are_passed_by(header: str, octets: bytes) -> None:
    metadata = Metadata(5, headers=((header, octets),))
    assert restored(metadata) == metadata


@given(st.integers(0, YEAR_9999_NS))
def test_time_is_written_and_read_to_the_nanosecond(time_ns: int) -> None:
    assert time_of(time_text(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5z", 500_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T00:00:00.1234567891Z", 123_456_789),
        ("1970-01-01T00:00:00+01:00", None),
        ("", None),
    ],
)
def test_times_as_other_programs_write_them(text: str, time_ns: int | None) -> None:
    assert time_of(text) == time_ns
