"""What this distribution registers; nothing here imports paho."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from queueconnector_core.component import BuildContext, ComponentKind, ComponentType, Guarantee
from queueconnector_core.hookspecs import hookimpl
from queueconnector_mqtt.descriptors import MqttSinkDescriptor, MqttSourceDescriptor

if TYPE_CHECKING:
    from queueconnector_mqtt.sink import MqttSink
    from queueconnector_mqtt.source import MqttSource

__all__ = ("queueconnector_api_version", "queueconnector_components")


def _source(descriptor: MqttSourceDescriptor, context: BuildContext) -> MqttSource:
    from queueconnector_mqtt.source import MqttSource

    return MqttSource(descriptor, context)


def _sink(descriptor: MqttSinkDescriptor, context: BuildContext) -> MqttSink:
    from queueconnector_mqtt.sink import MqttSink

    return MqttSink(descriptor, context)


@hookimpl
def queueconnector_api_version() -> int:
    """The version of the plugin API that this was written for."""
    return 1


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The source and the sink of MQTT topics.

    The source gives at least once with `session_expiry_s`; the guarantee stated is that of its
    defaults.
    """
    yield ComponentType(
        "MqttSource",
        ComponentKind.SOURCE,
        _source,
        MqttSourceDescriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
    )
    yield ComponentType(
        "MqttSink",
        ComponentKind.SINK,
        _sink,
        MqttSinkDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
    )
