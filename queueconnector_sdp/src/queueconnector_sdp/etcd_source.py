"""Follows a path of etcd, and writes back how its documents fare."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from queueconnector_core.config.protocol import ConfigContext, ConfigEvent, ConfigReport
from queueconnector_sdp._gateway import Gateway
from queueconnector_sdp.connection import Connection
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
from queueconnector_sdp.documents import Documents
from queueconnector_sdp.layout import Layout
from queueconnector_sdp.watch import Follower
from queueconnector_sdp.write_back import Writer

__all__ = ("EtcdConfigSource",)


class EtcdConfigSource:
    """A configuration source on etcd's JSON gateway.

    Raises `ConfigError` for certificates that cannot be read; connects to nothing yet.
    """

    def __init__(self, descriptor: EtcdConfigSourceDescriptor, context: ConfigContext) -> None:
        layout = Layout(descriptor)
        self._gateway = Gateway(Connection.of(descriptor))
        self._documents = Documents(layout, descriptor.reset_grace_s)
        self._follower = Follower(self._gateway, layout, self._documents, descriptor.audit_s)
        self._writer = Writer(
            self._gateway, layout, self._documents, descriptor.lease_ttl_s, context.host
        )

    def follow(self) -> AsyncGenerator[ConfigEvent, None]:
        """The documents, `Synced`, and every change until it is closed.

        While the database is away it is tried again, at least every two seconds; every ten when it
        answers but refuses.
        """
        return self._follower.follow()

    async def report(self, report: ConfigReport) -> None:
        """Write state and fault beside the document, unless that has a newer version by now.

        Raises `RetryableError` while the database is away, `FatalError` when it denies the write.
        """
        await self._writer.write(report)

    async def stop(self) -> None:
        """Withdraw the states, and disconnect. Idempotent."""
        await self._writer.stop()
        await self._gateway.close()
