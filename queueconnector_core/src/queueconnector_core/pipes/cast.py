"""The pipe that changes the dtype of numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import ColumnPipe
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec, parse_dtype
from queueconnector_core.descriptors import DtypeLiteral, PipeDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.pipes._numbers import NUMBERS, Array, NumberMap, check_numbers, fits

__all__ = ("CastPipeDescriptor", "CastPipe", "number_dtype")


def number_dtype(literal: object) -> np.dtype[Any]:
    """The dtype; raises `ConfigError` at `dtype` when it is none of numbers."""
    try:
        dtype = parse_dtype(literal)
        check_numbers(DataSpec(dtype))
    except ConfigError as error:
        raise error.under("dtype") from None
    return dtype


@attrs.frozen
class CastPipeDescriptor(PipeDescriptor):
    """Casts numbers, and arrays of them, to another dtype by the rules of numpy.

    A record with a number outside the range of the new dtype is refused: finite numbers stay
    finite, and NaN is no integer. Fractions are cut off, not rounded. Text and objects are
    converted by a MapPipe.
    """

    dtype: Annotated[Any, DtypeLiteral(), Meta(description="The new data type, of numbers.")]
    casting: Annotated[
        Literal["safe", "same_kind", "unsafe"],
        Meta(
            description="Which casts are allowed, as numpy names them. safe: those that lose "
            "nothing; same_kind: also to fewer bits (float64 to float32); unsafe: any, such as "
            "float64 to int32 or complex128 to its real part."
        ),
    ] = "same_kind"

    def output(self, spec: DataSpec) -> DataSpec:
        """The new dtype in the same shape; raises `ConfigError` for a cast that is not allowed."""
        check_numbers(spec)
        dtype = number_dtype(self.dtype)
        if not np.can_cast(spec.dtype, dtype, self.casting):
            text = f"numpy does not cast {spec.dtype} to {dtype} by rule {self.casting}"
            raise ConfigError.at("casting", text)
        return DataSpec(dtype, spec.shape)


class CastPipe(NumberMap, ColumnPipe):
    """Casts all values of a batch at once."""

    def __init__(self, descriptor: CastPipeDescriptor, context: BuildContext) -> None:
        super().__init__(context.spec)
        self._dtype = number_dtype(descriptor.dtype)
        self._real = self._dtype.kind not in "cb" and context.spec.dtype.kind in NUMBERS[-1]

    def compute(self, array: Array) -> tuple[Array, Array]:
        """The array in the new dtype."""
        given = array.real if self._real else array
        cast = given.astype(self._dtype)
        return cast, fits(given, cast)
