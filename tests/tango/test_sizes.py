"""Sizes between what Tango tells and what a configuration says."""

from typing import Any

import numpy as np
import pytest

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_tango.descriptors import (
    TangoArrayScatterAttributeSinkDescriptor,
    TangoAttributeDescriptor,
    TangoSubscriptionSourceDescriptor,
)
from queueconnector_tango.reading import value_reader
from queueconnector_tango.scatter_object import _Target


@pytest.mark.parametrize("found", [[], [[1, 2]], [[1, 2], [3, 4]]])
def test_the_shape_of_a_scattered_attribute_is_the_largest(found: list[Any]) -> None:
    target = _Target.of(TangoAttributeDescriptor("image", "int32", [4, 3]))

    assert np.array_equal(np.asarray(target.pick(found)).ravel(), np.ravel(found))


def test_an_image_without_rows_keeps_the_width_of_the_configuration() -> None:
    read = value_reader(DataSpec.of("float64", [-1, 3]), "utf-8")

    value = read(np.zeros((0, 0)))

    assert isinstance(value, np.ndarray)
    assert value.shape == (0, 3)


def test_an_image_without_rows_is_none_of_a_fixed_size() -> None:
    read = value_reader(DataSpec.of("float64", [2, 3]), "utf-8")

    with pytest.raises(RecordError, match="shape"):
        read(np.zeros((0, 0)))


def test_a_refused_dtype_is_told_with_the_shape_that_was_written() -> None:
    source: SourceDescriptor = TangoSubscriptionSourceDescriptor("a/b/c", "spectrum")

    with pytest.raises(ConfigError, match=r"complex64\[-1\]"):
        source.check(DataSpec.of("complex64", [-1]), discover().registry)


def test_a_dtype_that_cannot_be_scattered_is_told_once_for_all_attributes() -> None:
    sink = TangoArrayScatterAttributeSinkDescriptor(["a", "b", "c"])

    with pytest.raises(ConfigError) as refused:
        sink.check(DataSpec.of("complex64", [3]), discover().registry)

    assert len(refused.value.problems) == 1
    assert "complex64[3]" in str(refused.value)
