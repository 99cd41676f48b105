"""The least that brings messages of a topic into an attribute, written by hand.

A plain, synchronous PyTango device with an event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

import numpy as np
import tango
from aiokafka import AIOKafkaConsumer, TopicPartition
from tango.server import Device, attribute, command, run

SIZE = 1000


class Least(Device):  # type: ignore[misc]
    """Reads the topic of the environment from its beginning; 8 octets are a number."""

    def init_device(self) -> None:
        """Declare the events."""
        super().init_device()
        self._held = {"scalar": 0.0, "spectrum": np.zeros(SIZE)}
        for name in self._held:
            self.set_change_event(name, True, False)

    @attribute(dtype=float)  # type: ignore[untyped-decorator]
    def scalar(self) -> object:
        """The newest number."""
        return self._held["scalar"]

    @attribute(dtype=(float,), max_dim_x=SIZE)  # type: ignore[untyped-decorator]
    def spectrum(self) -> object:
        """The newest spectrum."""
        return self._held["spectrum"]

    @command  # type: ignore[untyped-decorator]
    def Start(self) -> None:  # noqa: N802
        """Begin to read."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            asyncio.run(self._copy())

    async def _copy(self) -> None:
        partition = TopicPartition(os.environ["TOPIC"], 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=os.environ["SERVERS"])
        await consumer.start()
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        name = os.environ["ATTRIBUTE"]
        while True:
            for messages in (await consumer.getmany(timeout_ms=1000)).values():
                for message in messages:
                    value: object = np.frombuffer(message.value)
                    if name == "scalar":
                        value = float(np.frombuffer(message.value)[0])
                    self._held[name] = value
                    self.push_change_event(name, value, time.time(), tango.AttrQuality.ATTR_VALID)


if __name__ == "__main__":
    run((Least,), args=["least_device", *sys.argv[1:]])
