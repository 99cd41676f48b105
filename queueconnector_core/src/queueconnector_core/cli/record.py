"""`queueconnector record`: writes the records of a running host to a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.problems import told
from queueconnector_core.cli.remote import Remote
from queueconnector_core.recording.container import RecordingWriter
from queueconnector_core.recording.entry import Entry, read_line

__all__ = ("record",)


def record(
    url: str,
    exchange: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    stage: str = "sink[0]",
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    duration_s: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    replace: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write the records of an exchange to a file as they pass, until Ctrl-C; nothing is disturbed.

    Values are exact; times, qualities, keys and headers are kept. Where more pass than can be taken
    some are left out; their number stands in the file, and is told. It needs the extra
    queueconnector-core[record].

    Exit codes: 0, 1 when the host does not answer or refuses, or the file cannot be written, 2 for
    wrong arguments, 130 after Ctrl-C.

    Parameters
    ----------
    url
        The status page of the host, such as http://127.0.0.1:8080.
    exchange
        Its name, such as 'default[0]'.
    output
        The recording, an Avro file; it must not be there yet.
    stage
        Where to record: source[0], pipe[1], sink[0].
    limit
        End after so many records.
    duration_s
        End after so many seconds, to within one.
    replace
        Write over a file that is there.
    """

    def command() -> int:
        lines = Remote(url).tap(exchange, stage=stage, limit=limit, exact=1)
        count = skipped = 0
        with RecordingWriter(output, replace=replace) as file:
            try:
                for entry in _entries(lines, duration_s):
                    file.write(entry)
                    count += 1
                    skipped += entry.skipped
            finally:
                left_out = f", {skipped} left out" if skipped else ""
                print(f"{output}: {count} records{left_out}", file=sys.stderr)
        return 0

    return told(command)


def _entries(lines: Iterator[bytes], duration_s: float | None) -> Iterator[Entry]:
    end_s = None if duration_s is None else time.monotonic() + duration_s
    for line in lines:
        # A sign of life comes every second: that is how exactly the time is kept.
        if end_s is not None and time.monotonic() >= end_s:
            return
        if line:
            yield read_line(line)
