"""`queueconnector tap`: see the records of a running host on their way."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core.cli.problems import told
from queueconnector_core.cli.remote import Remote

__all__ = ("tap",)

SHOWN = 400
"""Characters of a value in one line for people."""


def tap(
    url: str,
    exchange: str,
    /,
    *,
    stage: str = "sink[0]",
    select: str | None = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    max_items: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Print the records of an exchange as they pass, until Ctrl-C; nothing is disturbed.

    Where more pass than can be shown some are left out; their number is told.

    Exit codes: 0, 1 when the host does not answer or refuses, 2 for wrong arguments, 130 after
    Ctrl-C.

    Parameters
    ----------
    url
        The status page of the host, such as http://127.0.0.1:8080.
    exchange
        Its name, such as 'default[0]'.
    stage
        Where to look: source[0], pipe[1], sink[0].
    select
        A JMESPath: what it finds in each value is shown, and records without it are not.
    limit
        End after so many records.
    max_items
        An array with more items is shown in steps along each axis; 4096 if left out.
    as_json
        Print JSON lines, each with all that is known of a record.
    """

    def command() -> int:
        lines = Remote(url).tap(
            exchange, stage=stage, select=select, limit=limit, max_items=max_items
        )
        skipped = 0
        for line in filter(None, lines):
            if as_json:
                print(line.decode())
            else:
                record = json.loads(line)
                if record["skipped"] > skipped:
                    print(f"({record['skipped'] - skipped} records not shown)")
                    skipped = record["skipped"]
                print(_line(record))
            sys.stdout.flush()
        return 0

    return told(command)


def _line(record: dict[str, Any]) -> str:
    """One record in one line: when, how good, from where, what."""
    value = json.dumps(record["value"], ensure_ascii=False)
    if len(value) > SHOWN:
        value = f"{value[:SHOWN]}…"
    quality = "" if record["quality"] == "VALID" else record["quality"]
    key = "" if record["key"] is None else f"key={record['key']}"
    shape = f"{record['dtype']}{record['shape']}" if record.get("shape") else ""
    parts = (record["time"], record["position"], quality, key, shape, value, record.get("error"))
    return " ".join(part for part in parts if part)
