"""Headers travel as user properties, CloudEvents by the names of its binding to MQTT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.errors import RecordError
from queueconnector_core.provenance import headers_of, restored
from queueconnector_core.record import Metadata, Quality, TimestampOrigin
from queueconnector_mqtt._headers import headers, user_properties

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
OTHERS = st.lists(
    st.tuples(
        NAMES.filter(lambda name: name not in {"specversion", "ce_specversion"}),
        NAMES.map(str.encode),
    )
)


@given(OTHERS)
def test_headers_that_are_no_cloud_event_pass_unchanged(found: list[tuple[str, bytes]]) -> None:
    plain = [header for header in found if not header[0].startswith("ce_")]

    assert list(headers(user_properties(plain))) == plain


@given(
    st.builds(
        Metadata,
        timestamp_ns=st.integers(0, 2**62),
        timestamp_origin=st.sampled_from(TimestampOrigin),
        quality=st.sampled_from(Quality),
        position=st.just("a/b#1"),
        source=st.just("tango://host:1/a/b/c/d"),
        event=st.just("change"),
        sequence=st.integers(1, 10**12),
        headers=st.just((("trace", b"1"),)),
    )
)
def test_what_is_known_of_a_record_comes_back(metadata: Metadata) -> None:
    written = headers_of(metadata, "hash")
    pairs = user_properties(written)

    assert ("specversion", "1.0") in pairs
    assert ("trace", "1") in pairs
    assert headers(pairs) == written
    again = restored(Metadata(headers=headers(pairs)))
    assert (again.timestamp_ns, again.timestamp_origin, again.quality, again.source) == (
        *(metadata.timestamp_ns, metadata.timestamp_origin, metadata.quality, metadata.source),
    )


@pytest.mark.parametrize("octets", [b"\xff", b"a\0b", b"x" * 65_536])
def test_a_header_that_is_no_text_is_named(octets: bytes) -> None:
    with pytest.raises(RecordError, match="header 'h'"):
        user_properties([("h", octets)])
