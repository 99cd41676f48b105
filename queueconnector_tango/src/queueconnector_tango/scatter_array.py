"""Arrays split along one axis, one attribute for each part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Record
from queueconnector_core.simple import RecordSink
from queueconnector_tango.claims import attribute_claim, check_attribute_name, collect
from queueconnector_tango.dtypes import StringEncoding, tango_type
from queueconnector_tango.host import AttributeClaim, AttributeHost, attribute_host
from queueconnector_tango.local_sink import seconds_of

__all__ = ("TangoArrayScatterAttributeSink", "claims")

Array = np.ndarray[Any, np.dtype[Any]]


class _Options(Protocol):
    """The options of the descriptor, without importing it."""

    @property
    def attribute_names(self) -> list[str]: ...
    @property
    def axis(self) -> int: ...
    @property
    def default_value(self) -> Any: ...
    @property
    def attribute_shape_names(self) -> list[str] | None: ...
    @property
    def indices(self) -> list[int] | None: ...
    @property
    def string_encoding(self) -> StringEncoding: ...


def _split(options: _Options, array: Array) -> list[Array]:
    """The parts, as `numpy.array_split` makes them."""
    where = options.indices if options.indices is not None else len(options.attribute_names)
    return np.array_split(array, where, axis=options.axis)


def claims(options: _Options, spec: DataSpec) -> list[AttributeClaim]:
    """The attributes that arrays of `spec` are split into.

    Raises `ConfigError` with every problem.
    """
    _check_split(options, spec)
    # One element in memory stands for all: only the shapes of the parts matter.
    parts = _split(options, np.broadcast_to(np.empty((), bool), spec.shape))
    claimed: list[AttributeClaim | None] = []
    with collect() as problems:
        if len(parts) != len(options.attribute_names):
            raise ConfigError.at(
                "indices",
                f"{len(options.indices or ())} indices make {len(parts)} parts, but there are "
                f"{len(options.attribute_names)} attribute_names",
            )
        shapes = [part.shape for part in parts]
        _check_parts(options, shapes)
        for index, (name, shape) in enumerate(zip(options.attribute_names, shapes, strict=True)):
            flat = shape if len(shape) <= 2 else (math.prod(shape),)
            claimed.append(
                problems.at(
                    "", attribute_claim, name, attrs.evolve(spec, shape=flat),
                    options.default_value, options.string_encoding,
                    path=f"attribute_names[{index}]",
                )
            )  # fmt: skip
        claimed.extend(
            AttributeClaim(
                name,
                DataSpec(np.dtype("int64"), (len(shape),)),
                None if options.default_value is None else np.array(shape, dtype="int64"),
                path=f"attribute_shape_names[{index}]",
            )
            for index, (name, shape) in enumerate(
                zip(options.attribute_shape_names or (), shapes, strict=False)
            )
        )
    return [claim for claim in claimed if claim is not None]


def _check_split(options: _Options, spec: DataSpec) -> None:
    if spec.is_scalar or spec.is_dynamic:
        raise ConfigError.at(
            "", f"found {spec}; only an array whose size is given can be split over attributes"
        )
    with collect() as problems:
        problems.at("", tango_type, spec)
        for index, name in enumerate(options.attribute_shape_names or ()):
            problems.at(f"attribute_shape_names[{index}]", check_attribute_name, name)
        problems.at("axis", _check_axis, options.axis, spec)
        problems.at("attribute_shape_names", _check_shape_names, options)
        problems.at("indices", _check_indices, options.indices)


def _check_axis(axis: int, spec: DataSpec) -> None:
    if not -len(spec.shape) <= axis < len(spec.shape):
        raise ConfigError.at(
            "", f"found {axis}; shape {list(spec.shape)} has the axes 0 to {len(spec.shape) - 1}"
        )


def _check_shape_names(options: _Options) -> None:
    names = options.attribute_shape_names
    if names is not None and len(names) != len(options.attribute_names):
        raise ConfigError.at(
            "", f"found {len(names)} names for {len(options.attribute_names)} attribute_names"
        )


def _check_indices(indices: Sequence[int] | None) -> None:
    if indices is not None and (
        list(indices) != sorted(set(indices)) or any(index < 1 for index in indices)
    ):
        raise ConfigError.at("", f"found {list(indices)}; allowed: growing numbers from 1 on")


def _check_parts(options: _Options, shapes: Sequence[tuple[int, ...]]) -> None:
    sizes = [shape[options.axis] for shape in shapes]
    if 0 in sizes:
        raise ConfigError.at(
            "attribute_names" if options.indices is None else "indices",
            f"the parts have the sizes {sizes} along axis {options.axis}; none may be empty",
        )


class TangoArrayScatterAttributeSink(RecordSink):
    """Writes the parts of each array, and their shapes where these are asked for."""

    def __init__(self, descriptor: _Options, context: BuildContext) -> None:
        self._options = descriptor
        self._host: AttributeHost = attribute_host(context.services)

    async def write_record(self, record: Record) -> None:
        """Update every part that can be; raises one `RecordError` for all that cannot."""
        at, quality = seconds_of(record.metadata.timestamp_ns), record.metadata.quality
        names = self._options.attribute_names
        if record.value is None:
            for name in names:
                self._host.write(name, None, at, quality)
            return
        shape_names = self._options.attribute_shape_names
        failures: list[str] = []
        for index, part in enumerate(_split(self._options, np.asarray(record.value))):
            flat = part if part.ndim <= 2 else part.reshape(-1)
            try:
                if shape_names is not None:
                    self._host.write(shape_names[index], np.array(part.shape, "int64"), at)
                self._host.write(names[index], flat, at, quality)
            except RecordError as error:
                failures.append(str(error))
        if failures:
            raise RecordError("; ".join(failures))
