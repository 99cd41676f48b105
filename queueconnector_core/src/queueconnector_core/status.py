"""The state of a host in words: what runs, what failed, why, and what to do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from queueconnector_core.config.follower import Follower
from queueconnector_core.document import Document
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.health import ailments

__all__ = ("status_text",)


def status_text(documents: Iterable[Document], followers: Iterable[Follower]) -> str:
    """Sources with a problem and rejected documents first, then a line a group and an exchange."""
    known = list(documents)
    lines = [line for follower in followers for line in _source(follower)]
    lines += [line for document in known for line in _rejected(document)]
    for document in known:
        for group in document.groups.values():
            lines += _group(group)
    lines += [f"Configuration {d.owner} {d.result}." for d in known if d.result and d.groups]
    return "\n".join(lines) or "Not configured."


def _source(follower: Follower) -> Iterator[str]:
    if follower.problem is not None:
        since = _clock(follower.problem_since_s)
        does = "mend it" if follower.is_refused else "trying again; what is configured runs on"
        yield (
            f"Configuration source {follower.name} cannot be read since {since}: "
            f"{follower.problem.reason}; {does}"
        )
    elif not follower.documents:
        wait = "has nothing" if follower.synced.is_set() else "has not answered yet"
        yield f"Configuration source {follower.name} {wait}."


def _rejected(document: Document) -> Iterator[str]:
    if document.rejection is not None:
        runs_on = "the former one runs on" if document.is_used else "nothing runs"
        named = f"{document.owner} {document.rejection.version}".rstrip()
        yield f"Configuration {named} is rejected, {runs_on}: {document.rejection.fault}"


def _group(group: Group) -> Iterator[str]:
    line = f"Group {group.name} is {group.state.value}"
    if group.fault is not None:
        line += f": {group.fault}"
        if group.restart_at_s is not None:
            attempt = f"attempt {group.restarts} of {group.policy.restart.attempts}"
            line += f"; starts again at {_clock(group.restart_at_s)} ({attempt})"
        else:
            line += "; Reset or a new configuration leaves it"
    yield line
    wrong = ailments([group])
    for place, exchange in enumerate(group.exchanges):
        failed = group.fault is not None and group.fault.exchange == place
        name = f"{exchange.name} failed" if failed else exchange.name
        yield _exchange(name, exchange, wrong.get(exchange.name))


def _exchange(name: str, exchange: Exchange, wrong: str | None) -> str:
    stats, gaps = exchange.statistics, exchange.gaps
    line = f"  {name}: {stats.received} received, {stats.delivered} delivered"
    if stats.filtered:
        line += f" ({stats.filtered} of them filtered)"
    if stats.dead_lettered:
        line += f", {stats.dead_lettered} dead-lettered"
    if stats.dropped:
        line += f", {stats.dropped} dropped"
    if stats.dead_lettered or stats.dropped:
        line += f" (last: {stats.failures[-1].text})" if stats.failures else ""
    if gaps.total:
        more = " or more" if gaps.uncounted else ""
        line += f"; {gaps.total} gaps, {gaps.records_lost}{more} records lost"
    if stats.degraded:
        line += f"; waiting since {_clock(stats.degraded.time_s)}: {stats.degraded.text}"
    elif wrong:
        line += f"; unhealthy: {wrong}"
    return line


def _clock(time_s: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(time_s))
