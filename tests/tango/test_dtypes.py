"""Values on their way into Tango: what is checked before Tango would damage it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_tango.dtypes import decode_text, encoder, max_dimensions


def as_pytango_gives_it(octets: Any) -> Any:
    """Text leaves PyTango as Latin-1, arrays of it as tuples."""
    return (
        tuple(map(as_pytango_gives_it, octets))
        if isinstance(octets, list)
        else octets.decode("latin-1")
    )


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_the_same_after_the_way_through_tango(text: str) -> None:
    assert decode_text(as_pytango_gives_it(encoder(DataSpec.of("str"))(text)), "utf-8") == text


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\0")))
def test_text_in_latin_1_is_too(text: str) -> None:
    octets = encoder(DataSpec.of("str"), "latin-1")(text)
    assert decode_text(as_pytango_gives_it(octets), "latin-1") == text


def test_octets_that_are_not_utf_8_are_read_as_latin_1() -> None:
    assert decode_text("caf\xe9", "utf-8") == "café"


def test_text_in_an_image_is_the_same() -> None:
    image = np.array([["a", "€"], ["", "望"]])
    octets = encoder(DataSpec.of("str", [2, 2]))(image)
    assert decode_text(as_pytango_gives_it(octets), "utf-8") == image.tolist()


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "told"),
    [
        ("uint8", [], 300, "out of range for uint8"),
        ("uint8", [], -1, "out of range for uint8"),
        ("int32", [], 1.5, "found 1.5, which is no int32"),
        ("int32", [], "x", "no int32"),
        ("int32", [], math.nan, "no int32"),
        ("float64", [], None, "no float64"),
        ("uint8", [2], np.array([300, -1]), "found an array of int64"),
        ("float64", [2], np.zeros(3), r"found shape \[3\], the attribute holds at most \[2\]"),
        ("float64", [2, 2], np.zeros(2), r"found shape \[2\]"),
        ("float64", [2], 1.0, r"found shape \[\]"),
        ("str", [], 1, "found 1, the attribute is text"),
        ("str", [], "a\0b", "NUL"),
        ("str", [1], np.array(["a", "b"]), r"found shape \[2\]"),
        ("bytes", [], b"x", "a pair of label and octets"),
        ("bytes", [], ("€", b""), "is not Latin-1"),
    ],
)
def test_what_tango_would_wrap_cut_or_refuse_is_a_record_error(
    dtype: str, shape: list[int], value: Any, told: str
) -> None:
    with pytest.raises(RecordError, match=told):
        encoder(DataSpec.of(dtype, shape))(value)


def test_smaller_arrays_fit() -> None:
    array = np.zeros((1, 2))
    assert encoder(DataSpec.of("float64", [3, 4]))(array) is array


@pytest.mark.parametrize(
    ("shape", "expected"),
    [([], {}), ([5], {"max_dim_x": 5}), ([3, 7], {"max_dim_x": 7, "max_dim_y": 3})],
)
def test_rows_are_y_and_columns_are_x(shape: list[int], expected: dict[str, int]) -> None:
    assert max_dimensions(DataSpec.of("float64", shape)) == expected
