"""`queueconnector dlq redrive`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.dlq.reading import Place
from queueconnector_core.cli.dlq.routes import Router, exchange_router, sink_router
from queueconnector_core.cli.problems import EXIT_FAULT, refuse, told
from queueconnector_core.dead_letters.letter import Letter, Letters
from queueconnector_core.dead_letters.redrive import LetterSource, Restore
from queueconnector_core.dead_letters.redriven import Redriven
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, FatalError, RecordError
from queueconnector_core.exchange import Exchange
from queueconnector_core.registry import Registry

__all__ = ("redrive",)

EXIT_INTERRUPTED = 130


def redrive(
    letters: str,
    /,
    *,
    config: Path | None = None,
    exchange: str | None = None,
    to: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    only: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative=())] = (),
    value_file: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    again: Annotated[bool, Parameter(negative=())] = False,
    redriven: str | None = None,
    outage_limit_s: Annotated[float, Parameter(validator=Number(gt=0))] = 60.0,
) -> int:
    """Drive dead letters again: through their exchange, or as they are to any sink.

    With --config what fails again becomes a dead letter again if the exchange keeps them. Letters
    that were driven again are remembered in a file beside their own, and left out the next time.
    Prints a balance. Exit codes: 0 when all were delivered, 1 when not, 2 when the command was
    refused, 130 after Ctrl-C.

    Parameters
    ----------
    letters
        As for `list`. A topic with a group_id remembers by itself what was read.
    config
        The JSON configuration in which the exchange stands.
    exchange
        Its name, such as `default[0]`; left out: the one that the letters tell.
    to
        A sink of dtype bytes, as JSON with a type; it is given the octets, the key and the headers
        of each record.
    only
        The numbers of letters, as `list` shows them.
    value_file
        The repaired octets; with --only and one number.
    dry_run
        Read and decode only; nothing is written.
    again
        Also letters that were driven again before.
    redriven
        The file that remembers them; left out: LETTERS.redriven beside a file, none for a topic.
    outage_limit_s
        Seconds for which a sink may be away.
    """

    def command() -> int:
        registry = discover().registry
        place = Place.of(letters, registry)
        router = _router(config, exchange, to, registry, forced=bool(only))
        run = _Redrive(
            router, place.redriven(redriven), only, _repair(value_file, only), again, outage_limit_s
        )
        return asyncio.run(run.execute(place, registry, dry=dry_run))

    return told(command)


def _router(
    config: Path | None, exchange: str | None, to: str | None, registry: Registry, *, forced: bool
) -> Router:
    if (config is None) == (to is None):
        raise ConfigError.at("", "give one of --config and --to")
    if config is None:
        return sink_router(to or "", registry)
    try:
        text = config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.at("--config", f"cannot read {config}: {error}") from None
    return exchange_router(text, exchange, registry, forced=forced)


def _repair(path: Path | None, only: Sequence[int]) -> bytes | None:
    if path is None:
        return None
    if len(only) != 1:
        raise ConfigError.at("--value-file", "is for one letter; add --only and its number")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError.at("--value-file", f"cannot read {path}: {error.strerror}") from None


@attrs.frozen
class _Redrive:
    """One command: from letters to a balance."""

    router: Router
    redriven: Redriven
    only: tuple[int, ...]
    repair: bytes | None
    again: bool
    outage_limit_s: float

    async def execute(self, place: Place, registry: Registry, *, dry: bool) -> int:
        async with place.read(registry) as found:
            for reason in found.unreadable:
                refuse(f"no letter, left out: {reason}")
            chosen = self._chosen(found)
            known = [] if self.again else [each for each in chosen if each in self.redriven]
            if known:
                refuse(
                    f"{len(known)} letters were driven again before, left out; --again: they too"
                )
            new = [each for each in chosen if each not in known]
            if not new:
                print("nothing to drive again")
                return 0
            route = self.router(new)
            if dry:
                return _tried(new, route.restore)
            source = LetterSource(new, route.restore, self.redriven.note)
            code = await self._drive(route.build(source), len(new))
            if source.is_done and len(chosen) == len(found.letters):
                for acknowledgement in found.acknowledgements:
                    acknowledgement.release()
            return code

    def _chosen(self, found: Letters) -> Sequence[Letter]:
        chosen = found.chosen(self.only)
        if self.repair is None:
            return chosen
        return [letter.repaired(self.repair) for letter in chosen]

    async def _drive(self, exchange: Exchange, read: int) -> int:
        exchange.outage_limit_s = self.outage_limit_s
        fault: FatalError | None = None
        interrupted = _drained_by_ctrl_c(exchange)
        try:
            try:
                await exchange.start()
                await exchange.run()
            finally:
                await exchange.stop()
        except FatalError as error:
            fault = error
        counts = exchange.statistics
        left = read - counts.delivered - counts.dead_lettered - counts.dropped
        for failure in counts.failures:
            print(f"failed: {failure.text}", file=sys.stderr)
        print(
            f"read={read} delivered={counts.delivered} dead_lettered={counts.dead_lettered} "
            f"dropped={counts.dropped} left={left}"
        )
        if fault is not None:
            return refuse(f"{exchange.name} failed: {fault}", EXIT_FAULT)
        if interrupted.is_set() and left:
            return EXIT_INTERRUPTED
        return 0 if counts.delivered == read and self.redriven.is_complete else EXIT_FAULT


def _drained_by_ctrl_c(exchange: Exchange) -> asyncio.Event:
    """Ctrl-C makes the exchange end after what it was given; a second one gives that up."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    draining: list[asyncio.Task[None]] = []

    def interrupt() -> None:
        interrupted.set()
        loop.remove_signal_handler(signal.SIGINT)
        draining.append(asyncio.ensure_future(exchange.drain()))

    loop.add_signal_handler(signal.SIGINT, interrupt)
    return interrupted


def _tried(letters: Sequence[Letter], restore: Restore) -> int:
    """Restore all records, drive none."""
    failed = 0
    for letter in letters:
        try:
            value = restore(letter).value
        except RecordError as error:
            failed += 1
            print(f"letter {letter.number}: fails: {error}")
        else:
            print(f"letter {letter.number}: {value!r}")
    print(f"read={len(letters)} restored={len(letters) - failed} failed={failed}; nothing written")
    return EXIT_FAULT if failed else 0
