"""Batches are taken apart and put together without a record getting lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.errors import RecordError
from queueconnector_core.record import (
    NO_METADATA,
    Acknowledgement,
    Batch,
    LazyMetadata,
    Metadata,
    Quality,
    Record,
    Stamp,
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    size = draw(st.integers(0, 6))
    weights = draw(st.none() | st.lists(st.integers(0, 5), min_size=size, max_size=size))
    with_metadata = draw(st.booleans())
    failed = draw(st.lists(st.integers(1, 4), max_size=3))
    return Batch(
        list(range(size)),
        [Metadata(timestamp_ns=n) for n in range(size)] if with_metadata else None,
        [RecordError("garbled", records) for records in failed],
        weights,
        (Acknowledgement(lambda: None),),
        draw(st.integers(0, 3)),
    )


def consistent(batch: Batch) -> bool:
    """Every column that there is has as many entries as there are values."""
    columns = (batch.metadata, batch.weights)
    return all(column is None or len(column) == len(batch) for column in columns)


@given(batches(), st.integers(0, 6))
def test_split_conserves_records_and_order(batch: Batch, index: int) -> None:
    first, rest = batch.split(index)
    assert first.source_records + rest.source_records == batch.source_records
    assert [*first.records(), *rest.records()] == list(batch.records())
    assert consistent(first)
    assert consistent(rest)


@given(batches(), st.sets(st.integers(0, 5)))
def test_without_turns_values_into_failures_of_the_same_weight(
    batch: Batch, indices: set[int]
) -> None:
    chosen = {index for index in indices if index < len(batch)}
    one_for_all = RecordError("refused")
    left = batch.without(dict.fromkeys(chosen, one_for_all))
    assert left.source_records == batch.source_records
    assert list(left.values) == [v for i, v in enumerate(batch.values) if i not in chosen]
    assert len(left.failures) == len(batch.failures) + len(chosen)
    assert consistent(left)
    assert one_for_all.records == 1, "the error of the component stays as it was"


@given(batches(), st.sets(st.integers(0, 5)))
def test_keeping_counts_what_is_left_out_as_filtered(batch: Batch, indices: set[int]) -> None:
    chosen = sorted(index for index in indices if index < len(batch))
    left_out = sum(batch.weight(i) for i in range(len(batch)) if i not in indices)
    kept = batch.keeping(chosen)
    assert kept.source_records == batch.source_records
    assert list(kept.records()) == list(batch.only(chosen).records())
    assert kept.filtered == batch.filtered + left_out
    assert (kept.failures, kept.acknowledgements) == (batch.failures, batch.acknowledgements)
    assert consistent(kept)


@given(batches())
def test_map_conserves_records_and_says_which_failed(batch: Batch) -> None:
    def half(value: int) -> int:
        if value % 2:
            raise RecordError(f"{value} is odd")
        return value // 2

    mapped = batch.map(half)
    assert mapped.source_records == batch.source_records
    assert list(mapped.values) == [value // 2 for value in range(0, len(batch), 2)]
    odd = [f"{value} is odd" for value in range(1, len(batch), 2)]
    assert [str(error) for error in mapped.failures[len(batch.failures) :]] == odd
    assert consistent(mapped)
    assert mapped.acknowledgements == batch.acknowledgements


@given(st.lists(batches(), min_size=1, max_size=4))
def test_joined_stands_for_all_records_of_its_batches(parts: list[Batch]) -> None:
    joined = Batch.joined(parts, "all", None)
    assert joined.source_records == sum(part.source_records for part in parts)
    assert list(joined.values) == ["all"]
    assert joined.acknowledgements == tuple(a for part in parts for a in part.acknowledgements)


def test_a_refused_window_loses_all_its_records() -> None:
    window = Batch.joined([Batch([1, 2]), Batch([3])], [1, 2, 3], Metadata(key=b"k"))
    lost = window.without({0: RecordError("too large")})
    assert [error.records for error in lost.failures] == [3]
    assert (list(lost.values), lost.metadata) == ([], [])


@pytest.mark.parametrize("index", [-1, 2, 100])
def test_an_index_that_the_batch_does_not_have_is_an_error(index: int) -> None:
    with pytest.raises(IndexError, match=f"a batch of 2 values has no index {index}"):
        Batch([1, 2]).without({index: RecordError("refused")})


def test_records_have_their_metadata_or_none() -> None:
    known = Metadata(timestamp_ns=5)
    assert list(Batch([1], [known]).records()) == [Record(1, known)]
    assert list(Batch([1]).records()) == [Record(1, NO_METADATA)]


def made(timestamp_ns: int) -> Metadata:
    return Metadata(timestamp_ns, quality=Quality.ALARM)


def stamped(timestamp_ns: int) -> Stamp:
    return timestamp_ns, Quality.ALARM


def never_made(_: int) -> Metadata:
    raise AssertionError("the metadata were made")


@pytest.mark.parametrize(
    "metadata",
    [[made(1), made(2)], LazyMetadata([1, 2], made), LazyMetadata([1, 2], never_made, stamped)],
)
def test_stamps_are_time_and_quality(metadata: list[Metadata]) -> None:
    batch = Batch(["a", "b"], metadata)
    assert list(batch.stamps()) == [(1, Quality.ALARM), (2, Quality.ALARM)]
    assert list(batch.split(1)[1].stamps()) == [(2, Quality.ALARM)]


def test_without_metadata_there_is_no_time() -> None:
    assert list(Batch(["a", "b"]).stamps()) == [(None, Quality.VALID)] * 2


def test_an_acknowledgement_is_given_at_the_last_release() -> None:
    given_back: list[str] = []
    acknowledgement = Acknowledgement(lambda: given_back.append("all"))
    acknowledgement.hold()
    acknowledgement.release()
    assert given_back == []
    acknowledgement.release()
    assert given_back == ["all"]


def test_an_acknowledgement_cannot_be_given_twice() -> None:
    acknowledgement = Acknowledgement(lambda: None)
    acknowledgement.release()
    with pytest.raises(RuntimeError, match="more often than held"):
        acknowledgement.release()


def test_each_part_of_a_split_batch_holds_the_acknowledgement() -> None:
    given_back: list[str] = []
    batch = Batch([1, 2, 3], acknowledgements=(Acknowledgement(lambda: given_back.append("a")),))
    first, rest = batch.split(1)
    middle, last = rest.split(1)
    for part, expected in ((last, []), (first, []), (middle, ["a"])):
        part.acknowledgements[0].release()
        assert given_back == expected
