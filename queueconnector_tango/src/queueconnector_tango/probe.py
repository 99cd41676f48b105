"""Whether an attribute of another device is there, and is what is configured."""

from __future__ import annotations

import difflib
from typing import Final

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import Problem, RecordError, RetryableError
from queueconnector_tango._asking import (
    AttributeState,
    DeviceAwayError,
    NoAttributeError,
    attribute_state,
)
from queueconnector_tango._events import Form
from queueconnector_tango._proxy import in_tango_thread
from queueconnector_tango.descriptors import (
    TangoPointingSubscriptionSourceDescriptor,
    TangoRemoteAttributeSinkDescriptor,
    TangoSubscriptionSourceDescriptor,
)
from queueconnector_tango.dtypes import TANGO_TYPES, misfit_of
from queueconnector_tango.reading import value_reader

__all__ = ("probe_remote", "probe_subscription")

_DIMENSIONS: Final = {"SCALAR": 0, "SPECTRUM": 1, "IMAGE": 2}
POINTING: Final = DataSpec.of("float64", [3])
"""What the pointing of a dish is."""


async def probe_subscription(
    descriptor: TangoSubscriptionSourceDescriptor, context: BuildContext
) -> list[Problem]:
    """The attribute, its type and form, and whether its present value is one of the exchange."""
    found = await _ask(descriptor, read=True)
    if isinstance(found, Problem):
        return [found]
    is_pointing = isinstance(descriptor, TangoPointingSubscriptionSourceDescriptor)
    spec = POINTING if is_pointing else context.spec
    name = f"{descriptor.device_name.partition('#')[0]}/{descriptor.attribute_name}"
    if not found.is_readable:
        return [Problem("attribute_name", f"{name} can only be written, and has no events")]
    misfit = _cannot_give(found, spec)
    if not misfit and found.value is not None:
        try:
            value_reader(spec, descriptor.string_encoding)(found.value)
        except RecordError as error:
            misfit = f"holds now what the exchange cannot carry: {error}"
    return [Problem("attribute_name", f"{name} {misfit}")] if misfit else []


async def probe_remote(
    descriptor: TangoRemoteAttributeSinkDescriptor, context: BuildContext
) -> list[Problem]:
    """The attribute, whether it can be written, and whether every value of the exchange fits."""
    found = await _ask(descriptor, read=False)
    if isinstance(found, Problem):
        return [found]
    name = f"{descriptor.device_name.partition('#')[0]}/{descriptor.attribute_name}"
    if not found.is_writable:
        misfit = "is read-only; name an attribute that can be written"
    else:
        misfit = misfit_of(found.form.type, found.shape, context.spec)
    return [Problem("attribute_name", f"{name} {misfit}")] if misfit else []


async def _ask(
    descriptor: TangoSubscriptionSourceDescriptor | TangoRemoteAttributeSinkDescriptor,
    *,
    read: bool,
) -> AttributeState | Problem:
    def ask() -> AttributeState:
        return attribute_state(descriptor.device_name, descriptor.attribute_name, read=read)

    try:
        return await in_tango_thread(ask)
    except NoAttributeError as error:
        near = difflib.get_close_matches(descriptor.attribute_name, error.others, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return Problem("attribute_name", f"{error}{hint} (it has {', '.join(error.others)})")
    except DeviceAwayError as error:
        return Problem("device_name", str(error))
    except RetryableError as error:
        return Problem("attribute_name", str(error))


def _cannot_give(found: AttributeState, spec: DataSpec) -> str:
    """Why no event of the attribute can be a value of `spec`; empty: it may."""
    dimensions = _DIMENSIONS[found.form.format]
    if not spec.is_object and dimensions != len(spec.shape):
        return f"is {found.form}; the exchange has shape {list(spec.shape)}: they must have as many"
    if any(size > most for size, most in zip(spec.shape, found.shape, strict=False)):
        return f"has at most the shape {list(found.shape)}; the exchange has {list(spec.shape)}"
    if not _is_alike(found.form, spec):
        return f"is {found.form}; the exchange carries {spec}: give it the dtype of the attribute"
    return ""


def _is_alike(form: Form, spec: DataSpec) -> bool:
    if spec.is_object or spec.is_text:
        return form.type not in {"DevEncoded", "DevEnum"}
    if spec.is_bytes:
        return form.type == "DevEncoded"
    return form.type in TANGO_TYPES.values() or form.type == "DevString"
