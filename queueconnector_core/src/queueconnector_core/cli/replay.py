"""`queueconnector replay`: an exchange of a configuration with a recording as its source."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.files import read_text
from queueconnector_core.cli.problems import told
from queueconnector_core.cli.run import Run
from queueconnector_core.errors import ConfigError
from queueconnector_core.recording.container import Recording, RecordingError, RecordingWriter
from queueconnector_core.recording.keeping import keeping
from queueconnector_core.structure import read_json

__all__ = ("replay", "replayed")


def replay(
    recording: Path,
    config: str,
    /,
    *,
    exchange: str = "default[0]",
    speed: str = "1",
    interval_s: Annotated[float, Parameter(validator=Number(gt=0))] = 2.0,
    report: Path | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    stage: str = "sink[0]",
) -> int:
    """Feed a recording to an exchange of a configuration, in the place of its sources.

    Pipes and sinks are the real ones: what they write is written. Values, times, qualities, keys
    and headers are those that were recorded. Nothing else of the configuration runs.

    Exit codes: as `run`: 0 when all was given, 1 when the group failed, 2 when the recording or the
    configuration cannot be used, 130 after Ctrl-C, 143 after SIGTERM.

    Parameters
    ----------
    recording
        A file that `queueconnector record` has written.
    config
        The path of the JSON configuration, or `-` for standard input.
    exchange
        Its name, such as 'default[0]'.
    speed
        1: as it was, by the time stamps; 10: ten times faster; max: as fast as possible.
    interval_s
        Seconds between two lines of progress when the output is not a terminal.
    report
        A file that tells programs the counters, the health and the gaps, as that of `run`.
    output
        Record this run as well, to compare it with another; the file must not be there yet.
    stage
        Where to record: source[0], pipe[1], sink[0].
    """

    def command() -> int:
        times = _speed(speed)
        try:
            Recording(recording).close()
        except (OSError, RecordingError) as error:
            raise ConfigError.at("", f"cannot replay {recording}: {error}") from None
        document = replayed(read_json(read_text(config)), exchange, str(recording), times)
        run = Run(interval_s, None, report)
        if output is None:
            return asyncio.run(run.execute(json.dumps(document), ()))
        with RecordingWriter(output) as writer:
            run.besides = lambda connector: keeping(connector.exchanges[0], stage, writer)
            return asyncio.run(run.execute(json.dumps(document), ()))

    return told(command)


def replayed(document: Any, exchange: str, recording: str, speed: float | None) -> dict[str, Any]:
    """A configuration of one exchange of `document`, with a recording as its source.

    It stands alone in its group, as `GROUP[0]`. Raises `ConfigError` for one that is not there.
    """
    found = dict(_exchanges(document))
    if exchange not in found:
        text = f"found {exchange!r}; allowed: {', '.join(found) or 'none'}"
        raise ConfigError.at("--exchange", text)
    source = {"type": "ReplaySource", "path": recording, "speed": speed}
    chosen = {**found[exchange], "source": source}
    return {**document, "exchanges": {re.sub(r"\[\d+\]$", "", exchange): [chosen]}}


def _exchanges(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The exchanges by name; what is no exchange is left out."""
    written = document.get("exchanges") if isinstance(document, dict) else None
    groups = {"default": written} if isinstance(written, list) else written
    for group, members in groups.items() if isinstance(groups, dict) else ():
        for index, member in enumerate(members if isinstance(members, list) else ()):
            if isinstance(member, dict):
                yield f"{group}[{index}]", member


def _speed(text: str) -> float | None:
    """Times faster; None: as fast as possible."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise ConfigError.at("--speed", f"found {text!r}; allowed: max, or a number over 0")
    return speed
