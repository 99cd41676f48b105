"""Measures programs that copy one topic to another: ours, hand-written ones, and peers.

Every contestant is a process of its own, started by a `Contestant`, and copies whatever comes. It
is measured from outside: all that it takes is the processor time of that process.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from confluent_kafka import Consumer, KafkaError, TopicPartition

from bench.children import cpu_of
from bench.measure import Measurement
from devservices.kafka import KafkaBroker
from devservices.process import ManagedProcess, temporary_directory, wait_until

__all__ = ("Contestant", "Field", "exchange", "field", "program")

START_TIMEOUT_S: Final = 90.0
COPY_TIMEOUT_S: Final = 300.0
QUIET_S: Final = 0.5
NUMBER: Final = 12
"""Each record begins with its number, in so many digits."""


@attrs.frozen
class Task:
    """What is to be copied, for whoever makes a command of it."""

    bootstrap: str
    source: str
    sink: str
    directory: Path
    """Empty, for files that the program needs."""


@attrs.frozen
class Contestant:
    """A program that copies."""

    name: str
    command: Callable[[Task], Sequence[str]]
    environment: Mapping[str, str] = attrs.field(factory=dict)


def program(name: str, *command: str) -> Contestant:
    """A program whose last arguments are bootstrap, source and sink."""
    return Contestant(name, lambda task: [*command, task.bootstrap, task.source, task.sink])


def exchange(name: str, *, in_group: bool = False, **options: object) -> Contestant:
    """`queueconnector run` with one exchange; `options` are added to those of both ends."""

    def command(task: Task) -> Sequence[str]:
        ends = {"servers": task.bootstrap, **options}
        source: dict[str, Any] = {"type": "KafkaConsumerSource", "topic": task.source, **ends}
        if in_group:
            source |= {"group_id": f"group-of-{task.source}"}
        sink = {"type": "KafkaProducerSink", "topic": task.sink, **ends}
        document = {"exchanges": [{"dtype": "bytes", "source": source, "sink": sink}]}
        path = task.directory / "exchange.json"
        path.write_text(json.dumps(document))
        return [str(Path(sys.executable).with_name("queueconnector")), "run", str(path)]

    return Contestant(name, command)


class Field:
    """A broker, and fresh topics for every run."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self._name = uuid.uuid4().hex[:8]
        self._numbers = itertools.count()

    def _task(self) -> Task:
        name = f"{self._name}-{next(self._numbers)}"
        source, sink = f"source-{name}", f"sink-{name}"
        for topic in (source, sink):
            self._broker.create_topic(topic)
        return Task(self._broker.bootstrap, source, sink, temporary_directory("bench"))

    @contextmanager
    def copying(self, contestant: Contestant) -> Iterator[tuple[Task, ManagedProcess]]:
        """A contestant at work: a first record has arrived in the other topic already."""
        task = self._task()
        process = ManagedProcess(
            contestant.name,
            contestant.command(task),
            log=task.directory / "log",
            environment=contestant.environment,
        )
        try:
            self._first(task, process)
            yield task, process
        finally:
            process.kill()

    def _first(self, task: Task, process: ManagedProcess) -> None:
        """Send a record now and then, until one arrives: nobody says when he begins to read."""
        with _filler(task, 1, NUMBER) as filler, _ends(task) as ends:

            def arrived() -> bool:
                filler.write_line("again")
                # The next look sends another one: ten a second are enough.
                time.sleep(0.1)
                return ends.of(task.sink) > 0

            process.wait_until(arrived, START_TIMEOUT_S, "its first record")
            sent = ends.of(task.source)
            # Those before the first that arrived may have come before its time.
            ends.quiet(task.sink, sent)

    def copy(
        self,
        contestant: Contestant,
        records: int,
        size_bytes: int,
        *,
        profile: Path | None = None,
    ) -> Measurement:
        """Let it copy numbered records, which are written meanwhile, and check them all.

        With `profile` it is told by signals when to begin, and when to write that file.
        """
        with (
            self.copying(contestant) as (task, process),
            _filler(task, records, size_bytes) as filler,
            _ends(task) as ends,
        ):
            first = ends.of(task.sink)
            if profile is not None:
                os.kill(process.pid, signal.SIGUSR1)
            wall_s, cpu_s = time.perf_counter(), cpu_of(process.pid)
            filler.write_line("go")
            process.wait_until(
                lambda: ends.of(task.sink) >= first + records, COPY_TIMEOUT_S, "all records"
            )
            wall_s, cpu_s = time.perf_counter() - wall_s, cpu_of(process.pid) - cpu_s
            if profile is not None:
                os.kill(process.pid, signal.SIGUSR2)
                process.wait_until(profile.exists, START_TIMEOUT_S, "the profile")
        _check(task, first, records)
        return Measurement(records, wall_s, cpu_s)

    def pace(self, contestant: Contestant | None, records: int, per_s: int) -> Measurement:
        """Let it copy records that come evenly; from where each was written to where it arrives.

        None: nobody copies, and what was written is read at once: the floor of all latencies.
        """
        if contestant is None:
            return self._paced(self._task(), None, records, per_s)
        with self.copying(contestant) as (task, process):
            return self._paced(task, process, records, per_s)

    def _paced(
        self, task: Task, process: ManagedProcess | None, records: int, per_s: int
    ) -> Measurement:
        sink = task.source if process is None else task.sink
        command = [sys.executable, "-m", "bench.paced_client", task.bootstrap, task.source, sink]
        before_s = 0.0 if process is None else cpu_of(process.pid)
        client = subprocess.run(
            [*command, str(records), str(per_s)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=COPY_TIMEOUT_S,
        )
        cpu_s = 0.0 if process is None else cpu_of(process.pid) - before_s
        told = json.loads(client.stdout)
        more = {name: told[name] for name in ("p50_ms", "p99_ms")}
        return Measurement(told["records"], told["wall_s"], cpu_s, more)


@contextmanager
def field() -> Iterator[Field]:
    """A broker of our own."""
    with KafkaBroker() as broker:
        yield Field(broker)


@contextmanager
def _filler(task: Task, records: int, size_bytes: int) -> Iterator[ManagedProcess]:
    """A program that writes so many records each time that it is told to."""
    command = [sys.executable, "-m", "bench.fill_topic", task.bootstrap, task.source]
    log = task.directory / f"filler-{records}"
    filler = ManagedProcess(
        "filler", [*command, str(records), str(size_bytes)], log=log, stdin=subprocess.PIPE
    )
    try:
        filler.wait_until(lambda: "ready" in filler.output(), START_TIMEOUT_S, "its readiness")
        yield filler
    finally:
        filler.kill()


class _Ends:
    """Where topics end."""

    def __init__(self, bootstrap: str) -> None:
        self.consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False}
        )

    def of(self, topic: str) -> int:
        """The number of records, where none was ever removed."""
        end: int = self.consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1]
        return end

    def quiet(self, topic: str, most: int) -> None:
        """Wait until nothing more arrives, because all has, or for `QUIET_S`."""
        known, since_s = self.of(topic), time.monotonic()

        def is_quiet() -> bool:
            nonlocal known, since_s
            former, known = known, self.of(topic)
            if known != former:
                since_s = time.monotonic()
            return known >= most or time.monotonic() - since_s > QUIET_S

        wait_until(is_quiet, START_TIMEOUT_S, f"{topic} to be quiet")


@contextmanager
def _ends(task: Task) -> Iterator[_Ends]:
    ends = _Ends(task.bootstrap)
    try:
        wait_until(lambda: _exists(ends, task), START_TIMEOUT_S, "both topics")
        yield ends
    finally:
        ends.consumer.close()


def _exists(ends: _Ends, task: Task) -> bool:
    known = set(ends.consumer.list_topics(timeout=30).topics)
    return {task.source, task.sink} <= known


def _check(task: Task, first: int, records: int) -> None:
    """All records are there, in order: a fast wrong copy is none."""
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": "bench-check",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.assign([TopicPartition(task.sink, 0, first)])
        expected = 0
        deadline_s = time.monotonic() + COPY_TIMEOUT_S
        while expected < records and time.monotonic() < deadline_s:
            for message in consumer.consume(5_000, timeout=1.0):
                problem = message.error()
                if problem is not None:
                    if problem.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        continue
                    raise AssertionError(str(problem))
                value = message.value() or b""
                if int(value[:NUMBER]) != expected:
                    raise AssertionError(f"{value[:NUMBER]!r} where {expected} should be")
                expected += 1
        if expected < records:
            raise AssertionError(f"{expected} of {records} records were copied")
    finally:
        consumer.close()
