"""Every error of the framework, ordered by what the runner does when it sees one.

| Error | Raised by | What the runner does |
| --- | --- | --- |
| `ConfigError` | reading a configuration | refuses the configuration; what runs stays |
| `PluginError` | discovery | lists the plugin as broken; the host goes on |
| `RetryableError` | `start`, `read`, `write` | waits and tries again, for ever; shows *degraded* |
| `RecordError` | one-record forms, conversions, codecs | drops that record, counts it, goes on |
| `RecordErrors` | `Sink.write` | drops the named records of the batch, keeps the others |
| `FatalError` | anything | stops the group in FAULT with the text as reason |
| `EndOfStream` | `RecordSource.read_record` | ends the source cleanly |

Any other exception is a defect of the component and treated like `FatalError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from queueconnector_core.record import Metadata

Placed = TypeVar("Placed")

__all__ = (
    "QueueConnectorError",
    "Problem",
    "ConfigError",
    "PluginError",
    "RetryableError",
    "RecordError",
    "RecordErrors",
    "FatalError",
    "EndOfStream",
    "StateError",
    "join_path",
    "placed",
)


class QueueConnectorError(Exception):
    """Base of every error that the framework raises on purpose."""


def join_path(prefix: str, path: str) -> str:
    """Put `path` below `prefix` in JSON path notation, e.g. `exchanges[2]` + `sink.topic`."""
    if not prefix or not path:
        return prefix or path
    return prefix + path if path.startswith("[") else f"{prefix}.{path}"


def placed(option: str, members: Sequence[Placed]) -> list[tuple[str, Placed]]:
    """Each member with its JSON path; one alone has no index, as it is mostly written."""
    if len(members) == 1:
        return [(option, members[0])]
    return [(f"{option}[{index}]", member) for index, member in enumerate(members)]


@attrs.frozen
class Problem:
    """One thing wrong in a configuration.

    `path` is the JSON path from the root of the document (`exchanges[2].sink.topic`, empty for the
    document itself); `message` says what was found, what is allowed and the way out.
    """

    path: str
    message: str
    meant: str = attrs.field(default="", eq=False, kw_only=True)
    """What probably should stand in place of what was found, where there is a guess."""

    def under(self, prefix: str) -> Problem:
        """The same problem, seen from `prefix` above it."""
        return attrs.evolve(self, path=join_path(prefix, self.path))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(QueueConnectorError):
    """A configuration that cannot be accepted, with all its problems at once.

    Components raise `ConfigError.at("topic", "…")` with a path relative to their own descriptor;
    core puts the place of the descriptor in front.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def at(cls, path: str, message: str) -> ConfigError:
        """The error of a single problem at `path`."""
        return cls([Problem(path, message)])

    def under(self, prefix: str) -> ConfigError:
        """The same error, seen from `prefix` above it."""
        return ConfigError(problem.under(prefix) for problem in self.problems)


class PluginError(QueueConnectorError):
    """A plugin that could not be used; the text names the distribution and the reason."""


class RetryableError(QueueConnectorError):
    """The far end cannot be reached or is busy; the same call may work later.

    `retry_after_s` (seconds) replaces the runner's own growing wait when the far end named a time.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RecordError(QueueConnectorError):
    """One record that cannot be decoded, converted or written.

    `records` is how many source records are lost with it: 1, or all of a window. `origins` is the
    metadata of those records, as far as it was kept: what a dead letter is made of. `stage` is
    where it failed (`source`, `pipe[0]`, `sink[1]`); the runner fills it in.
    """

    def __init__(
        self, message: str, records: int = 1, origins: Sequence[Metadata] = (), stage: str = ""
    ) -> None:
        super().__init__(message)
        self.records = records
        self.origins = tuple(origins)
        self.stage = stage


class RecordErrors(QueueConnectorError):  # noqa: N818 - several of them
    """Some records of a batch were not accepted by a sink; all the others were.

    `failures` maps the index in the batch to the reason.
    """

    def __init__(self, failures: Mapping[int, RecordError]) -> None:
        super().__init__("; ".join(f"record {i}: {error}" for i, error in failures.items()))
        self.failures = dict(failures)


class FatalError(QueueConnectorError):
    """The exchange cannot go on; its group goes to FAULT with this text as the reason."""


class EndOfStream(QueueConnectorError):  # noqa: N818 - a signal, not an error
    """Raised by a one-record source that has nothing more to give."""


class StateError(QueueConnectorError):
    """A command that the present state does not allow; the text names both."""
