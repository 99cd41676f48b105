"""Which attributes the scatter sinks ask for, and how each mistake is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError
from queueconnector_tango.descriptors import (
    TangoArrayScatterAttributeSinkDescriptor,
    TangoAttributeDescriptor,
    TangoObjectScatterAttributeSinkDescriptor,
)
from queueconnector_tango.host import AttributeClaim


def split(dtype: object, shape: list[int], **options: Any) -> dict[str, AttributeClaim]:
    """The attributes that an array is split into, by name."""
    options.setdefault("attribute_names", ["a", "b"])
    sink = TangoArrayScatterAttributeSinkDescriptor(**options)
    claims = sink.claims(DataSpec.of(dtype, shape))
    return {claim.name: claim for claim in claims if isinstance(claim, AttributeClaim)}


def picked(**options: Any) -> AttributeClaim:
    """The attribute of an object scatter sink with one."""
    attribute = TangoAttributeDescriptor("x", **options)
    (claim,) = TangoObjectScatterAttributeSinkDescriptor([attribute]).claims(DataSpec.of("object"))
    assert isinstance(claim, AttributeClaim)
    return claim


@pytest.mark.parametrize(
    ("shape", "options", "shapes"),
    [
        ([4], {}, [(2,), (2,)]),
        ([5], {}, [(3,), (2,)]),
        ([5], {"indices": [1]}, [(1,), (4,)]),
        ([4, 3], {}, [(2, 3), (2, 3)]),
        ([4, 3], {"axis": 1}, [(4, 2), (4, 1)]),
        ([4, 3], {"axis": -1, "indices": [1]}, [(4, 1), (4, 2)]),
        ([2, 3, 4], {}, [(12,), (12,)]),
        ([2, 3, 4], {"axis": 2, "indices": [1]}, [(6,), (18,)]),
    ],
)
def test_arrays_are_split_along_an_axis_and_flat_beyond_two_dimensions(
    shape: list[int], options: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    claims = split("uint16", shape, **options)
    assert [claim.spec.shape for claim in claims.values()] == shapes
    assert {claim.spec.dtype.name for claim in claims.values()} == {"uint16"}


def test_the_shape_of_each_part_stands_beside_it() -> None:
    names = ["a_shape", "b_shape"]
    claims = split("uint8", [3, 2, 2], default_value=7, attribute_shape_names=names)
    assert [str(claims[name].spec) for name in names] == ["int64[3]", "int64[3]"]
    np.testing.assert_equal(claims["a_shape"].default, np.array([2, 2, 2]))
    np.testing.assert_equal(claims["b_shape"].default, np.array([1, 2, 2]))
    np.testing.assert_equal(claims["a"].default, np.full(8, 7, "uint8"))
    without_default = split("uint8", [3, 2, 2], attribute_shape_names=names)
    assert without_default["a_shape"].default is None


@pytest.mark.parametrize(
    ("dtype", "default", "expected"),
    [
        ("float64", 0, np.zeros(2)),
        ("float32", "nan", np.full(2, np.nan, "float32")),
        ("bool", "true", np.array([True, True])),
        ("str", "", np.array(["", ""])),
        ("int16", [1, 2], np.array([1, 2], "int16")),
        ("int16", "", None),
    ],
)
def test_the_default_value_of_a_part_has_its_dtype_and_fills_it(
    dtype: str, default: Any, expected: Any
) -> None:
    found = split(dtype, [4], default_value=default)["a"].default
    np.testing.assert_equal(found, expected)
    if expected is not None:
        assert isinstance(found, np.ndarray)
        assert found.dtype.kind == expected.dtype.kind


@pytest.mark.parametrize(
    ("dtype", "shape", "options", "path", "told"),
    [
        ("float64", [], {}, "", "only an array whose size is given"),
        ("float64", [-1], {}, "", "only an array whose size is given"),
        ("object", [], {}, "", "only an array whose size is given"),
        ("complex64", [4], {}, "", "a Tango attribute cannot carry dtype complex64"),
        ("float64", [1], {}, "attribute_names", "the parts have the sizes [1, 0] along axis 0"),
        ("float64", [4], {"indices": [4]}, "indices", "the parts have the sizes [4, 0]"),
        ("float64", [4], {"indices": [1, 2]}, "indices", "2 indices make 3 parts, but there are 2"),
        ("float64", [4], {"indices": [0]}, "indices", "growing numbers from 1 on"),
        ("float64", [4], {"indices": [-1]}, "indices", "growing numbers from 1 on"),
        ("float64", [4], {"axis": 1}, "axis", "shape [4] has the axes 0 to 0"),
        ("float64", [4], {"attribute_names": ["a", "b c"]}, "attribute_names[1]", "found 'b c'"),
        ("float64", [4], {"attribute_shape_names": ["s"]}, "attribute_shape_names", "1 names for"),
        (
            "float64",
            [4],
            {"attribute_shape_names": ["s", "State"]},
            "attribute_shape_names[1]",
            "the device itself has State",
        ),
        ("uint8", [4], {"default_value": 300}, "default_value", "no exact value of dtype uint8"),
    ],
)
def test_a_split_that_cannot_work_is_told_once_and_at_its_place(
    dtype: str, shape: list[int], options: dict[str, Any], path: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        split(dtype, shape, **options)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert told in problem.message


@pytest.mark.parametrize(
    ("dtype", "default", "spec", "expected"),
    [
        ("float", 0, "float64", 0.0),
        ("int", 0.0, "int64", 0),
        ("str", "unknown", "str", "unknown"),
        ("string", -1, "str", "-1"),
        ("DevShort", "", "int16", None),
        ("DevBoolean", False, "bool", False),
        ("bytes", ["json", "e30="], "bytes", ("json", b"{}")),
    ],
)
def test_a_picked_value_has_a_dtype_of_any_spelling_and_a_typed_default(
    dtype: str, default: Any, spec: str, expected: Any
) -> None:
    claim = picked(dtype=dtype, default_value=default)
    assert str(claim.spec) == spec
    assert claim.default == expected
    assert type(claim.default) is type(expected)


@pytest.mark.parametrize(
    ("options", "path", "told"),
    [
        ({"dtype": "float", "path": "a."}, "path", "which is no JMESPath"),
        ({"dtype": "float", "path": "nosuch(@)"}, "path", "there is no function 'nosuch'"),
        ({"dtype": "float", "filter": "x=y"}, "filter", "which is no JMESPath"),
        ({"dtype": "int", "default_value": 1.5}, "default_value", "no exact value of dtype int64"),
        ({"dtype": "object"}, "", "a Tango attribute cannot carry dtype object"),
        ({"dtype": "dict"}, "dtype", 'use "object"'),
        ({"dtype": "float", "shape": [-1]}, "", "needs the largest size"),
        ({"dtype": "float", "shape": [2, 2, 2]}, "", "at most 2 dimensions"),
    ],
)
def test_a_mistake_in_one_attribute_is_told_at_its_place(
    options: dict[str, Any], path: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        picked(**options)
    (problem,) = caught.value.problems
    assert problem.path == f"attributes[0].{path}".rstrip(".")
    assert told in problem.message


def test_all_mistakes_of_all_attributes_are_told_together() -> None:
    sink = TangoObjectScatterAttributeSinkDescriptor([
        TangoAttributeDescriptor("fine", "float"),
        TangoAttributeDescriptor("State", "float", path="a.", filter="b."),
        TangoAttributeDescriptor("x", "int", default_value="one"),
    ])  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        sink.claims(DataSpec.of("object"))
    assert {problem.path for problem in caught.value.problems} == {
        "attributes[1].path",
        "attributes[1].filter",
        "attributes[1].attribute_name",
        "attributes[2].default_value",
    }
