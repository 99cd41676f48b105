"""Whether a configuration database answers, and lets this client in."""

from __future__ import annotations

from base64 import b64encode

from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.errors import FatalError, Problem, RetryableError
from queueconnector_sdp._gateway import Gateway
from queueconnector_sdp.connection import Connection
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
from queueconnector_sdp.layout import Layout

__all__ = ("probe_etcd",)


async def probe_etcd(descriptor: EtcdConfigSourceDescriptor, _: ConfigContext) -> list[Problem]:
    """Ask the servers, one after the other, for the key of the path; it need not be there."""
    connection = Connection.of(descriptor)
    gateway = Gateway(connection)
    told: list[str] = []
    wanted = Layout(descriptor).ranges[0]
    body = {"key": b64encode(wanted.key).decode(), "count_only": True}
    try:
        for _server in connection.servers:
            try:
                await gateway.call("kv/range", body)
            except RetryableError as error:
                told.append(str(error))
            except FatalError as error:
                return [Problem("servers", str(error))]
            else:
                return []
    finally:
        await gateway.close()
    return [Problem("servers", "; ".join(dict.fromkeys(told)))]
