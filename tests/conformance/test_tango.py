"""The Tango ends keep the contract of components, with real device servers."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from queueconnector_core.component import Claim, ComponentKind, Guarantee, Services
from queueconnector_core.record import Quality, Value
from queueconnector_core.testing import (
    Capabilities,
    DescriptorSuite,
    SinkHarness,
    SinkSuite,
    SourceHarness,
    SourceSuite,
)
from queueconnector_core.testing.values import identity
from queueconnector_tango.host import AttributeClaim, AttributeHost
from tests.tango.conftest import Publisher
from tests.tango.test_remote_sink import Receiver

POINTING = [["ts", "float64"], ["az", "float64"], ["el", "float64"]]


class Published(SourceHarness):
    """An attribute that pushes what it is told to; at first it has no value."""

    def __init__(self, publisher: Publisher, attribute: str, name: str, **options: Any) -> None:
        self.publisher = publisher
        self.attribute = attribute
        self.options = publisher.options(attribute) | {"type": name} | options

    @property
    def descriptor(self) -> dict[str, Any]:
        return self.options

    async def put_external(self, values: Sequence[Value]) -> None:
        await self.publisher.publish(self.attribute, *map(plain, values))

    async def forget(self) -> None:
        """A subscription is told the present value: there is none."""
        nothing: Any = [0.0] if self.attribute.endswith("spectrum") else 0
        await self.publisher.publish(self.attribute, nothing, quality="INVALID")


def plain(value: Any) -> Any:
    """What JSON can say."""
    return value.tolist() if isinstance(value, np.void) else value


class Noted(SinkHarness):
    """The attribute of a device that notes what is written to it."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    @property
    def descriptor(self) -> dict[str, Any]:
        return {
            "type": "TangoRemoteAttributeSink",
            "device_name": self.receiver.trl(),
            "attribute_name": "DevDouble_scalar",
        }

    async def take_external(self) -> Sequence[Value]:
        return self.receiver.written("DevDouble_scalar")


class Attributes(SinkHarness):
    """A host of attributes that keeps what is written; the real one is a device server."""

    claim_type: type[Claim] = AttributeClaim

    def __init__(self, **descriptor: Any) -> None:
        self.options = descriptor
        self.services = Services({AttributeHost: self})
        self.written: list[Value] = []

    @property
    def descriptor(self) -> dict[str, Any]:
        return self.options

    def check(self, claims: Sequence[Claim]) -> None:
        """All can be had."""

    async def reconcile(self, owner: str, claims: Sequence[Claim]) -> None:
        """There is nothing to be made."""

    def write(
        self,
        name: str,
        value: Value,
        timestamp_s: float | None = None,
        quality: Quality = Quality.VALID,
    ) -> None:
        self.written.append(value)

    async def take_external(self) -> Sequence[Value]:
        return self.written


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        yield server


@pytest.fixture(scope="module")
def shared_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(tmp_path_factory.mktemp("receiver") / "notes") as server:
        yield server


class SubscriptionSuite(SourceSuite):
    """A subscription is told the present value first: here none, with quality INVALID."""

    def identity(self, value: Value) -> Hashable | None:
        return None if value is None else identity(value)


class TestTangoSubscriptionSource(SubscriptionSuite):
    component = "TangoSubscriptionSource"
    dtype = "int32"
    capabilities = Capabilities(
        guarantee=Guarantee.AT_MOST_ONCE, stored=False, proves_life=True, max_held=500
    )

    @pytest.fixture
    def harness(self, publisher: Publisher) -> SourceHarness:
        harness = Published(publisher, "DevLong_scalar", self.component, buffer_size=500)
        asyncio.run(harness.forget())
        return harness


class TestTangoPointingSubscriptionSource(SubscriptionSuite):
    component = "TangoPointingSubscriptionSource"
    dtype: ClassVar = POINTING
    capabilities = Capabilities(
        guarantee=Guarantee.AT_MOST_ONCE, stored=False, proves_life=True, max_held=500
    )

    @pytest.fixture
    def harness(self, publisher: Publisher) -> SourceHarness:
        harness = Published(publisher, "DevDouble_spectrum", self.component, buffer_size=500)
        asyncio.run(harness.forget())
        return harness


class TestTangoRemoteAttributeSink(SinkSuite):
    component = "TangoRemoteAttributeSink"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE)

    @pytest.fixture
    def harness(self, shared_receiver: Receiver) -> SinkHarness:
        shared_receiver.notes.write_text("")
        return Noted(shared_receiver)


class TestTangoLocalAttributeSink(SinkSuite):
    component = "TangoLocalAttributeSink"

    @pytest.fixture
    def harness(self) -> SinkHarness:
        return Attributes(attribute_name="value")


class TestTangoArrayScatterAttributeSink(SinkSuite):
    component = "TangoArrayScatterAttributeSink"
    shape = (1,)

    @pytest.fixture
    def harness(self) -> SinkHarness:
        return Attributes(attribute_names=["first"])

    def identity(self, value: Value) -> Hashable | None:
        """An attribute is given the one item of the array."""
        return identity(float(value[0] if hasattr(value, "__len__") else value))  # type: ignore[index, arg-type]


class TestTangoObjectScatterAttributeSink(SinkSuite):
    component = "TangoObjectScatterAttributeSink"
    dtype = "object"

    @pytest.fixture
    def harness(self) -> SinkHarness:
        attribute = {"attribute_name": "number", "dtype": "int64", "path": "number"}
        return Attributes(attributes=[attribute])

    def identity(self, value: Value) -> Hashable | None:
        """An attribute is given the number in the object."""
        return identity(value["number"] if isinstance(value, dict) else value)


DEVICE: dict[str, Any] = {"device_name": "sys/tg_test/1", "attribute_name": "double_scalar"}


class TangoDescriptorSuite(DescriptorSuite):
    may_import = ("jmespath",)


class TestTangoSubscriptionSourceDescriptor(TangoDescriptorSuite):
    component = "TangoSubscriptionSource"
    kind = ComponentKind.SOURCE
    example: ClassVar = DEVICE


class TestTangoPointingSubscriptionSourceDescriptor(TangoDescriptorSuite):
    component = "TangoPointingSubscriptionSource"
    kind = ComponentKind.SOURCE
    dtype: ClassVar = POINTING
    example: ClassVar = DEVICE


class TestTangoRemoteAttributeSinkDescriptor(TangoDescriptorSuite):
    component = "TangoRemoteAttributeSink"
    kind = ComponentKind.SINK
    example: ClassVar = DEVICE


class TestTangoLocalAttributeSinkDescriptor(TangoDescriptorSuite):
    component = "TangoLocalAttributeSink"
    kind = ComponentKind.SINK
    example: ClassVar = {"attribute_name": "value"}


class TestTangoArrayScatterAttributeSinkDescriptor(TangoDescriptorSuite):
    component = "TangoArrayScatterAttributeSink"
    kind = ComponentKind.SINK
    example: ClassVar = {"attribute_names": ["first", "second"]}


class TestTangoObjectScatterAttributeSinkDescriptor(TangoDescriptorSuite):
    component = "TangoObjectScatterAttributeSink"
    kind = ComponentKind.SINK
    example: ClassVar = {"attributes": [{"attribute_name": "x", "dtype": "int64", "path": "x"}]}
