"""The Tango sources and sinks, as the registry knows them; nothing here imports tango."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from queueconnector_core.component import (
    BuildContext,
    ComponentKind,
    ComponentType,
    Guarantee,
    Probe,
)
from queueconnector_core.hookspecs import hookimpl
from queueconnector_core.protocols import Sink, Source
from queueconnector_tango import pointing
from queueconnector_tango.descriptors import (
    TangoArrayScatterAttributeSinkDescriptor,
    TangoLocalAttributeSinkDescriptor,
    TangoObjectScatterAttributeSinkDescriptor,
    TangoPointingSubscriptionSourceDescriptor,
    TangoRemoteAttributeSinkDescriptor,
    TangoSubscriptionSourceDescriptor,
)
from queueconnector_tango.event_buffers import enlarge_event_buffers
from queueconnector_tango.host import AttributeHost
from queueconnector_tango.local_sink import TangoLocalAttributeSink
from queueconnector_tango.scatter_array import TangoArrayScatterAttributeSink
from queueconnector_tango.scatter_object import TangoObjectScatterAttributeSink

__all__ = ("queueconnector_components",)


def _subscription(descriptor: TangoSubscriptionSourceDescriptor, context: BuildContext) -> Source:
    enlarge_event_buffers()
    from queueconnector_tango.reading import value_reader
    from queueconnector_tango.subscription import TangoSubscriptionSource

    read = value_reader(context.spec, descriptor.string_encoding)
    return TangoSubscriptionSource(descriptor, context, read)


def _pointing(
    descriptor: TangoPointingSubscriptionSourceDescriptor, context: BuildContext
) -> Source:
    enlarge_event_buffers()
    from queueconnector_tango.subscription import TangoSubscriptionSource

    make_row = pointing.row_maker(context.spec, descriptor.antenna)
    return TangoSubscriptionSource(descriptor, context, make_row)


def _remote(descriptor: TangoRemoteAttributeSinkDescriptor, context: BuildContext) -> Sink:
    enlarge_event_buffers()
    from queueconnector_tango.remote_sink import TangoRemoteAttributeSink

    return TangoRemoteAttributeSink(descriptor, context)


def _probe_subscription() -> Probe:
    from queueconnector_tango.probe import probe_subscription

    return probe_subscription


def _probe_remote() -> Probe:
    from queueconnector_tango.probe import probe_remote

    return probe_remote


def _sink(
    name: str,
    factory: Any,
    descriptor: Any,
    *aliases: str,
    former_names: Mapping[str, str] | None = None,
) -> ComponentType:
    return ComponentType(
        name,
        ComponentKind.SINK,
        factory,
        descriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
        aliases=aliases,
        requires=(AttributeHost,),
        former_names=former_names or {},
    )


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """Subscriptions to other devices, and attributes of the connector's and of other devices."""
    yield ComponentType(
        "TangoSubscriptionSource",
        ComponentKind.SOURCE,
        _subscription,
        TangoSubscriptionSourceDescriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
        probe=_probe_subscription,
    )
    yield ComponentType(
        "TangoPointingSubscriptionSource",
        ComponentKind.SOURCE,
        _pointing,
        TangoPointingSubscriptionSourceDescriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
        probe=_probe_subscription,
    )
    yield _sink(
        "TangoLocalAttributeSink",
        TangoLocalAttributeSink,
        TangoLocalAttributeSinkDescriptor,
        "TangoAttributeSink",
    )
    yield ComponentType(
        "TangoRemoteAttributeSink",
        ComponentKind.SINK,
        _remote,
        TangoRemoteAttributeSinkDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
        probe=_probe_remote,
    )
    yield _sink(
        "TangoArrayScatterAttributeSink",
        TangoArrayScatterAttributeSink,
        TangoArrayScatterAttributeSinkDescriptor,
        "TangoSplitAttributeSink",
        "TangoArrayScatterSink",
    )
    yield _sink(
        "TangoObjectScatterAttributeSink",
        TangoObjectScatterAttributeSink,
        TangoObjectScatterAttributeSinkDescriptor,
        former_names={
            "TangoJsonScatterAttributeSink": "for JSON out of Kafka give the exchange dtype "
            '"object" and the source encoding "json"'
        },
    )
