"""Descriptors with one defect each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import attrs
from msgspec import Meta

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry

Name = Annotated[str, Meta(description="The name of the far end.")]


@attrs.frozen
class Right(SinkDescriptor):
    """Right."""

    name: Name
    wait_s: Annotated[float, Meta(description="Seconds to wait.", ge=0)] = 1.0
    former_options: ClassVar[Mapping[str, str]] = {"delay": "use wait_s"}

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if spec.dtype.kind != "f":
            raise ConfigError.at("", f"found {spec}; allowed: floats")


@attrs.frozen
class Undocumented(Right):
    """has an option without a description"""

    caught_by: ClassVar[str] = "test_every_option_is_documented"
    more: int = 0


@attrs.frozen
class WithoutUnit(Right):
    """does not say the unit of an option"""

    caught_by: ClassVar[str] = "test_descriptions_state_the_unit"
    longest_wait_s: Annotated[float, Meta(description="How long to wait.")] = 1.0


@attrs.define
class CanBeChanged(SinkDescriptor):
    """is not frozen"""

    caught_by: ClassVar[str] = "test_it_is_a_frozen_attrs_class"
    name: Name

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if spec.dtype.kind != "f":
            raise ConfigError.at("", f"found {spec}; allowed: floats")


@attrs.frozen
class ChecksInSecret(Right):
    """refuses in a validator what its schema accepts"""

    caught_by: ClassVar[str] = "test_a_document_is_valid_exactly_when_it_is_read"
    size: Annotated[int, Meta(description="A number that is even.")] = attrs.field(default=2)

    @size.validator
    def _even(self, _: Any, size: int) -> None:
        if size % 2:
            raise ValueError("not even")


@attrs.frozen
class ShowsWhatItRefuses(Right):
    """shows an example that it refuses"""

    caught_by: ClassVar[str] = "test_defaults_and_examples_are_valid"
    size: Annotated[int, Meta(description="A number.", ge=0, examples=[-1])] = 2


@attrs.frozen
class StillAnOption(Right):
    """has a former option that is still one"""

    caught_by: ClassVar[str] = "test_former_options_show_the_way_out"
    former_options: ClassVar[Mapping[str, str]] = {"name": "use something else"}


@attrs.frozen
class ChecksWithValueError(Right):
    """refuses a dtype with another error than ConfigError"""

    caught_by: ClassVar[str] = "test_check_refuses_with_config_errors"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if spec.dtype.kind != "f":
            raise ValueError("allowed: floats")


@attrs.frozen
class AcceptsMore(Right):
    """accepts more dtypes than it declares"""

    caught_by: ClassVar[str] = "test_it_accepts_what_it_declares"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Accepts everything."""


DESCRIPTORS: tuple[type[Any], ...] = (
    *(Undocumented, WithoutUnit, CanBeChanged, ChecksInSecret, ShowsWhatItRefuses, StillAnOption),
    *(ChecksWithValueError, AcceptsMore),
)
