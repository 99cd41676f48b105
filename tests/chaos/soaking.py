"""A device server under mixed load, configured anew again and again while its far ends fail."""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import tango
from confluent_kafka import Consumer, Producer, TopicPartition

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer

HERE = Path(__file__).parent
DEVICE = "test-sdp/queueconnector/01"
RATE = 100
"""Values a second of the source device, and messages a second of the producer."""
POISON_EVERY = 100
TICK_S = 0.1
PATIENCE_MS = 30_000
KEPT: Final = ("resident_kb", "all_threads", "files", "sockets")
"""What `Inventory` tells as a number; the tasks are counted."""


class Connector(TangoDeviceServer):
    """The device server, with commands that tell what it holds."""

    def __init__(self) -> None:
        super().__init__(
            [sys.executable, str(HERE / "balanced_server.py")],
            "SDPQueueConnector",
            "soak",
            "SDPQueueConnector",
            [DEVICE],
            environment={"PYTHONPATH": str(HERE.parents[1])},
        )

    def proxy(self, device: str | None = None) -> tango.DeviceProxy:
        """A client that is more patient than most: this machine may be busy."""
        found = super().proxy(device)
        found.set_timeout_millis(PATIENCE_MS)
        return found

    def wait_for_state(self, name: str, timeout_s: float = 60.0) -> None:
        proxy = self.proxy()
        try:
            self.process.wait_until(lambda: str(proxy.state()) == name, timeout_s, name)
        except Exception as error:
            raise AssertionError(f"{proxy.state()}, not {name}: {proxy.status()}") from error

    def inventory(self) -> dict[str, int]:
        found = json.loads(self.proxy().Inventory())
        return {name: found[name] for name in KEPT} | {"tasks": len(found["tasks"])}

    def balances(self) -> dict[str, dict[str, Any]]:
        return {found["name"]: found for found in json.loads(self.proxy().Balances())}


class Ramp(TangoDeviceServer):
    """A device that counts up from 1, `RATE` values a second, each time it is started."""

    def __init__(self) -> None:
        script = [sys.executable, str(HERE.parent / "device" / "ramp_device.py")]
        super().__init__(script, "ramp_device", "soak", "Ramp", ["test/ramp/1"])

    def begin(self) -> None:
        self.start()
        self.proxy().Begin([10**9, RATE])


class Messages:
    """Numbered messages to a topic, with some among them that nobody can read."""

    def __init__(self, broker: KafkaBroker, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "log_level": 0,
            }
        )
        self._numbers = itertools.count(1)
        self.poison = 0
        self.last = 0

    def send(self, count: int) -> None:
        for number in itertools.islice(self._numbers, count):
            is_poison = number % POISON_EVERY == 0
            self.poison += is_poison
            self.last = self.last if is_poison else number
            self._producer.produce(self._topic, b"{poison" if is_poison else b"%d" % number)
            self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(120) == 0

    def good(self) -> set[int]:
        """The numbers of all messages that can be read."""
        return {number for number in range(1, self.last + 1) if number % POISON_EVERY}


@attrs.define
class Counts:
    """What was done to the connector."""

    configured: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    """The longest that a client waited for `Configure`."""
    faults: Counter[str] = attrs.field(factory=Counter)


class Soak:
    """The services, the load, and what is done to them; `run` lasts `duration_s` seconds."""

    def __init__(self, broker: KafkaBroker, folder: Path, duration_s: float, seed: int) -> None:
        self.counts = Counts()
        self.inventories: list[dict[str, int]] = []
        self.broker = broker
        self.path = folder / "records.jsonl"
        self.connector, self.ramp = Connector(), Ramp()
        self._duration_s = duration_s
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        for topic in ("soak-in", "soak-out"):
            broker.create_topic(topic)
        self.messages = Messages(broker, "soak-in")
        self._over = threading.Event()

    def run(self) -> None:
        """Load, configure and break until the time is over; raises what went wrong on the way."""
        self.ramp.begin()
        self.connector.start()
        self._configure(0)
        self.connector.proxy().Start()
        self.connector.wait_for_state("ON")
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(job) for job in (self._load, self._break, self._look)]
            try:
                self._reconfigure()
            finally:
                self._over.set()
            for job in jobs:
                job.result()

    def settle(self) -> None:
        """Wait until the device is ON and everything that was sent has arrived."""
        self.messages.flush()
        self.connector.wait_for_state("ON")
        wait_until(lambda: self.messages.good() <= self.in_file(), 120, "all records in the file")
        proxy = self.connector.proxy()
        last = self.messages.last
        wait_until(lambda: proxy.from_kafka == last, 60, "the last value in the attribute")

    def close(self) -> None:
        self.connector.stop()
        self.ramp.stop()

    def in_file(self) -> set[int]:
        """The numbers of the records in the file."""
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        with self.path.open("rb") as file:
            return {int(float(decode(line)["value"])) for line in file if line.endswith(b"\n")}

    def in_topic(self) -> list[int]:
        """The values of the source device, as they stand in the topic."""
        options = {"bootstrap.servers": self.broker.bootstrap, "group.id": "soak-test"}
        consumer = Consumer(options | {"enable.auto.commit": "false"})
        place = TopicPartition("soak-out", 0, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=20)
        consumer.assign([place])
        found: list[int] = []
        while len(found) < end:
            messages = consumer.consume(10_000, timeout=5)
            assert messages, f"{len(found)} of {end} records came"
            found += [int(message.value() or b"") for message in messages]
        consumer.close()
        return found

    def quarters(self, name: str) -> tuple[float, float]:
        """The median of a figure in the first quarter of the time, and in the last."""
        series = [found[name] for found in self.inventories]
        size = max(1, len(series) // 4)
        return statistics.median(series[:size]), statistics.median(series[-size:])

    def _until_over(self, pause_s: Callable[[], float]) -> Iterator[None]:
        while not self._over.wait(pause_s()):
            yield

    def _load(self) -> None:
        for _ in self._until_over(lambda: TICK_S):
            self.messages.send(int(RATE * TICK_S))

    def _look(self) -> None:
        for _ in self._until_over(lambda: min(10.0, self._duration_s / 40)):
            self.inventories.append(self.connector.inventory())
            state = str(self.connector.proxy().state())
            assert state in {"ON", "OPEN", "CLOSE"}, self.connector.proxy().status()
            for balance in self.connector.balances().values():
                assert balance["in_flight"] >= 0, balance

    def _reconfigure(self) -> None:
        end_s = time.monotonic() + self._duration_s
        for turn in itertools.count(1):
            if time.monotonic() > end_s:
                return
            # The load itself: a new configuration every few seconds.
            time.sleep(self._random.uniform(0.5, min(6.0, self._duration_s / 5)))
            self._configure(turn)

    def _break(self) -> None:
        longest_s = min(40.0, self._duration_s / 4)
        faults = itertools.cycle(
            [self._pause_broker, self._restart_ramp, self._kill_broker, self._pause_ramp]
        )
        for _, fault in zip(
            self._until_over(lambda: self._random.uniform(longest_s / 4, longest_s)),
            faults,
            strict=False,
        ):
            self.counts.faults[fault.__name__.strip("_")] += 1
            fault()

    def _pause_broker(self) -> None:
        self.broker.pause()
        self._over.wait(self._random.uniform(1, min(15.0, self._duration_s / 10)))
        self.broker.resume()

    def _kill_broker(self) -> None:
        self.broker.kill()
        self.broker.start()

    def _restart_ramp(self) -> None:
        self.ramp.kill()
        self.ramp.begin()

    def _pause_ramp(self) -> None:
        self.ramp.pause()
        self._over.wait(self._random.uniform(1, min(15.0, self._duration_s / 10)))
        self.ramp.resume()

    def _configure(self, turn: int) -> None:
        """Send the configuration of a turn; one that comes amid another one may be refused."""
        groups = {"stable": self._stable(turn), "churn": churning(turn)}
        began_s = time.monotonic()
        try:
            self.connector.proxy().Configure(json.dumps({"exchanges": groups}))
        except tango.DevFailed as error:
            if "state" not in error.args[0].desc.lower():
                raise
            self.counts.refused += 1
        else:
            self.counts.configured += 1
        self.counts.slowest_s = max(self.counts.slowest_s, time.monotonic() - began_s)

    def _stable(self, turn: int) -> Sequence[dict[str, Any]]:
        """Three exchanges; every fifth turn the last one begins anew."""
        servers = self.broker.bootstrap
        incoming = {"type": "KafkaConsumerSource", "servers": servers, "topic": "soak-in"}
        incoming |= {"encoding": "json"}
        wait_ms = {"fetch_max_wait_ms": 500 - turn // 5 % 2}
        grouped = {"group_id": "soak", "group_instance_id": "soak-1", "start": "earliest"}
        device = {"type": "TangoSubscriptionSource", "device_name": self.ramp.trl()}
        return [
            {
                "dtype": "float64",
                "source": incoming,
                "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "from_kafka"},
            },
            {
                "dtype": "int64",
                "source": device | {"attribute_name": "count"},
                "sink": {
                    "type": "KafkaProducerSink",
                    "servers": servers,
                    "topic": "soak-out",
                    "encoding": "json",
                    "key": "source",
                    "headers": "provenance",
                },
            },
            {
                "dtype": "float64",
                "source": incoming | grouped | wait_ms,
                "sink": {"type": "FileSink", "path": str(self.path)},
            },
        ]


def churning(turn: int) -> list[dict[str, Any]]:
    """Attributes of changing type and shape, and one that comes and goes."""

    def counted(name: str, **spec: Any) -> dict[str, Any]:
        return {
            **spec,
            "source": {"type": "InMemorySource", "data": list(range(1000)), "delay": 0.01},
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name},
        }

    exchanges = [
        counted("retyped", dtype=("float64", "int32")[turn % 2], shape=[50]),
        counted("reshaped", dtype="int64", shape=[[20], [5, 4], [40]][turn % 3]),
    ]
    return exchanges + [counted("sometimes", dtype="int64")] * (turn % 2)
