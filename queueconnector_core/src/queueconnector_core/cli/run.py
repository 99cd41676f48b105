"""`queueconnector run`: the host that needs no control system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.problems import EXIT_FAULT, refuse, told
from queueconnector_core.cli.progress import Progress
from queueconnector_core.cli.watch import Watch
from queueconnector_core.connector import Connector
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, StateError
from queueconnector_core.states import State
from queueconnector_core.structure import read_json, structure_as
from queueconnector_core.tracing import flush_spans
from queueconnector_core.web.options import LOOPBACK, WebOptions

__all__ = ("Run", "run")

EXIT_SIGNAL = 128
"""Added to the number of the signal that ended the run, as shells do."""


def run(
    config: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(negative=())] = False,
    source: Annotated[list[str] | None, Parameter(negative=())] = None,
    interval_s: Annotated[float, Parameter(validator=Number(gt=0))] = 2.0,
    report: Path | None = None,
    web_port: Annotated[int | None, Parameter(validator=Number(gte=0, lt=65536))] = None,
    web_host: str = LOOPBACK,
    web_token_file: str = "",
) -> int:
    """Run the exchanges of a configuration until their sources end, or until Ctrl-C.

    Ctrl-C stops the sources and delivers what was received; a second one gives it up.

    Exit codes: 0 when every source has ended, 1 when a group failed, 2 when the configuration was
    refused, 130 after Ctrl-C, 143 after SIGTERM.

    Parameters
    ----------
    config
        The path of the JSON configuration, or `-` for standard input.
    follow
        Follow the file, or every `*.json` file of the directory, and take over each change.
    source
        A configuration source to follow, as JSON with a type, such as
        '{"type": "EtcdConfigSource", "path": "/component/queueconnector"}'; may be given again.
    interval_s
        Seconds between two lines of progress when the output is not a terminal.
    report
        A file that tells programs, as JSON, the counters, the health and the gaps of every
        exchange; it is replaced every second, and at the end. `queueconnector gaps` prints it.
    web_port
        Serve a status page, health, metrics for Prometheus and an interface for programs over HTTP
        at this port (0: any free one); needs the extra queueconnector-core[web].
    web_host
        The address to serve them at; 0.0.0.0 is all of this machine, for all to read.
    web_token_file
        A file with the token of those who may pause, restart and stop; without it nobody may.
    """
    if config is None and not source:
        return refuse("give the path of a configuration, or a --source")
    followed = list(source or ())
    try:
        if follow and config is not None:
            followed.append(json.dumps({"type": "FileConfigSource", "path": config}))
        text = _read(config) if config is not None and not follow else ""
    except (OSError, UnicodeDecodeError) as error:
        return refuse(f"cannot read {config}: {error}")

    web = None if web_port is None else WebOptions(web_port, web_host, web_token_file)

    def command() -> int:
        return asyncio.run(Run(interval_s, web, report).execute(text, followed))

    return told(command)


def _read(config: str) -> str:
    return sys.stdin.read() if config == "-" else Path(config).read_text("utf-8")


def _nothing(_connector: Connector) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext()


class Run:
    """One run: from a configuration to an exit code."""

    def __init__(self, interval_s: float, web: WebOptions | None, report: Path | None) -> None:
        self._registry = discover().registry
        self._connector = Connector(self._registry)
        self._progress = Progress(self._connector, interval_s)
        self._watch = Watch(self._connector, web, report)
        self.besides: Callable[[Connector], AbstractAsyncContextManager[None]] = _nothing
        """What is done from before the start to after the end."""
        self._signals: list[signal.Signals] = []
        self._commands: set[asyncio.Task[None]] = set()

    async def execute(self, text: str, followed: Sequence[str]) -> int:
        """Run a configuration, and what is followed, to the end; the exit code."""
        try:
            await self._connector.configure(text)
            for number, source in enumerate(followed):
                self._follow(f"source[{number}]", source)
        except ConfigError as error:
            return refuse(f"the configuration is refused:\n{error}")
        if not self._connector.groups and not followed:
            print("queueconnector: no exchanges are configured", file=sys.stderr)
            return 0
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt, number)
        async with self._watch, self.besides(self._connector):
            if self._connector.groups:
                await self._connector.start()
            with self._progress:
                await self._ended()
        await flush_spans()
        return self._exit_code()

    def _follow(self, name: str, source: str) -> None:
        try:
            descriptor = structure_as(read_json(source), ConfigSourceDescriptor, self._registry)
            self._connector.follow(name, descriptor)
        except ConfigError as error:
            raise error.under(name) from None

    async def _ended(self) -> None:
        """Wait until no source can tell anything new, and every group is at rest."""
        followers = list(self._connector.followers.values())
        await asyncio.gather(*(follower.ended.wait() for follower in followers))
        while self._commands:
            await asyncio.wait(self._commands)
        await self._connector.settled()

    def _interrupt(self, number: signal.Signals) -> None:
        """Drain at the first signal, give up at the second."""
        self._signals.append(number)
        command = self._connector.shut_down if len(self._signals) == 1 else self._connector.abort
        task = asyncio.ensure_future(self._carry_out(command))
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    async def _carry_out(self, command: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(StateError):  # no group runs any more, or all end already
            await command()

    def _exit_code(self) -> int:
        if any(group.state is State.FAULT for group in self._connector.groups.values()):
            return EXIT_FAULT
        return EXIT_SIGNAL + self._signals[0] if self._signals else 0
