"""The two hosts of the product: a connector in this process, and the device server in another."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import tango

from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from queueconnector_core.connector import Connector
from queueconnector_core.registry import Registry

__all__ = ("DeviceHost", "Host", "LocalHost", "connector_server")

T = TypeVar("T")

DEVICE = "test-sdp/queueconnector/01"


class Host(Protocol):
    """Takes a configuration and streams."""

    def configure(self, text: str) -> None:
        """Replace the configuration; raises what the host raises."""

    def start(self) -> None:
        """Begin to stream."""

    def stop(self) -> None:
        """Deliver what was received and stop, unless everything has ended already."""

    def states(self) -> dict[str, str]:
        """The state of each group by its name."""

    def status(self) -> str:
        """What runs, what failed and why."""


class LocalHost:
    """A connector in an event loop of its own; its in-memory sinks can be looked into."""

    def __init__(self, registry: Registry) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connector = Connector(registry)

    def close(self) -> None:
        """Stop everything and end the loop."""
        self._do(self._connector.shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    def configure(self, text: str) -> None:
        """Replace the configuration."""
        self._do(self._connector.configure(text))

    def start(self) -> None:
        """Begin to stream."""
        self._do(self._connector.start())

    def stop(self) -> None:
        """Deliver what was received and stop."""
        self._do(self._connector.shut_down())

    def states(self) -> dict[str, str]:
        """The state of each group by its name."""
        return {name: group.state.value for name, group in self._connector.groups.items()}

    def status(self) -> str:
        """What runs, what failed and why."""
        return self._connector.status_text()


def connector_server(instance: str = "matrix", device: str = DEVICE) -> TangoDeviceServer:
    """The device server `SDPQueueConnector`, not yet started."""
    return TangoDeviceServer(
        [sys.executable, "-m", "queueconnector_tango.server"],
        "SDPQueueConnector",
        instance,
        "SDPQueueConnector",
        [device],
    )


class DeviceHost:
    """A running device server `SDPQueueConnector`, driven by a plain proxy."""

    def __init__(self, server: TangoDeviceServer) -> None:
        self.proxy = server.proxy()
        self.proxy.set_timeout_millis(120_000)

    def configure(self, text: str) -> None:
        """Replace the configuration."""
        self.proxy.Configure(text)

    def start(self) -> None:
        """Begin to stream."""
        self.proxy.Start()

    def stop(self) -> None:
        """Deliver what was received and stop, unless everything has ended already."""
        if self.states().keys() - {"OFF", "FAULT"}:
            with contextlib.suppress(tango.DevFailed):
                self.proxy.Stop()
        wait_until(lambda: set(self.states().values()) <= {"OFF", "FAULT"}, 60, "the end")

    def states(self) -> dict[str, str]:
        """The state of each group by its name."""
        return dict(re.findall(r"^Group (\w+) is (\w+)", self.status(), re.MULTILINE))

    def status(self) -> str:
        """What runs, what failed and why."""
        return str(self.proxy.status())
