"""What this distribution registers; nothing here imports aiohttp or ska_sdp_config."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING

from queueconnector_core.component import ComponentKind, ComponentType, Probe
from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.errors import ConfigError
from queueconnector_core.hookspecs import hookimpl
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor, SdpConfigSourceDescriptor

if TYPE_CHECKING:
    from queueconnector_sdp.etcd_source import EtcdConfigSource
    from queueconnector_sdp.sdp_source import SdpConfigSource

__all__ = ("queueconnector_components",)


def _etcd(descriptor: EtcdConfigSourceDescriptor, context: ConfigContext) -> EtcdConfigSource:
    from queueconnector_sdp.etcd_source import EtcdConfigSource

    return EtcdConfigSource(descriptor, context)


def _probe_etcd() -> Probe:
    from queueconnector_sdp.probe import probe_etcd

    return probe_etcd


def _sdp(descriptor: SdpConfigSourceDescriptor, context: ConfigContext) -> SdpConfigSource:
    """Raises `ConfigError` where the library is missing: another `type` is the way out."""
    if importlib.util.find_spec("ska_sdp_config") is None:
        raise ConfigError.at(
            "type",
            "found 'sdp', which needs the package ska-sdp-config; "
            "pip install ska-sdp-config --extra-index-url with the address of SKAO's package "
            "index, or use type 'etcd': it follows the same path, without that package",
        )
    from queueconnector_sdp.sdp_source import SdpConfigSource

    return SdpConfigSource(descriptor, context)


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The two ways into a configuration database."""
    return (
        ComponentType(
            "EtcdConfigSource",
            ComponentKind.CONFIG_SOURCE,
            _etcd,
            EtcdConfigSourceDescriptor,
            aliases=("etcd",),
            probe=_probe_etcd,
        ),
        ComponentType(
            "SdpConfigSource",
            ComponentKind.CONFIG_SOURCE,
            _sdp,
            SdpConfigSourceDescriptor,
            aliases=("sdp",),
        ),
    )
