"""`queueconnector dlq list` and `show`."""

from __future__ import annotations

import asyncio
import json
import string
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from queueconnector_core.cli.dlq.reading import Place
from queueconnector_core.cli.problems import EXIT_FAULT, refuse, told
from queueconnector_core.cli.table import new_table, print_table
from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.dead_letters.letter import Letter, Letters
from queueconnector_core.dead_letters.redriven import Redriven
from queueconnector_core.dead_letters.writing import NO_CODECS
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.registry import Registry

__all__ = ("list_letters", "show")

COLUMNS = ("time", "exchange", "stage", "position", "error")
HEX_COLUMNS = 16
HEX_BYTES = 4096
"""More of the octets is not shown; `--output` has all."""


def list_letters(
    letters: str, /, *, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False
) -> int:
    """List the dead letters of a file or a topic, one a line.

    Exit codes: 0, 1 when something there is no letter or cannot be read, 2 when LETTERS is refused.

    Parameters
    ----------
    letters
        The path of a file of letters, or a source as JSON with a type, such as
        '{"type": "KafkaConsumerSource", "servers": "localhost:9092", "topic": "letters",
        "start": "earliest", "until": "latest"}'.
    as_json
        Print a JSON list of objects.
    """
    registry = discover().registry

    def command() -> int:
        place = Place.of(letters, registry)
        found, redriven = asyncio.run(_read(place, registry)), place.redriven()
        if as_json:
            rows = [_as_json(letter, redriven) for letter in found.letters]
            print(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            _print_list(found.letters, redriven)
        for reason in found.unreadable:
            refuse(f"no letter: {reason}")
        return EXIT_FAULT if found.unreadable else 0

    return told(command)


def show(letters: str, number: int, /, *, output: Path | None = None) -> int:
    """Show one dead letter: its headers, where the record comes from, its octets, its value.

    Exit codes: 0, 1 when the letters cannot be read, 2 when there is no such letter.

    Parameters
    ----------
    letters
        As for `list`.
    number
        The number of the letter in the list.
    output
        Write the octets to this file, to be repaired in an editor and driven again with
        `redrive --only NUMBER --value-file FILE`.
    """
    registry = discover().registry

    def command() -> int:
        place = Place.of(letters, registry)
        (letter,) = asyncio.run(_read(place, registry)).chosen((number,))
        for line in _described(letter, registry):
            print(line)
        if output is not None:
            try:
                output.write_bytes(letter.octets or b"")
            except OSError as error:
                raise ConfigError.at("--output", f"{output}: {error.strerror}") from None
            print(f"octets written to {output}", file=sys.stderr)
        return 0

    return told(command)


async def _read(place: Place, registry: Registry) -> Letters:
    async with place.read(registry) as letters:
        return letters


def _as_json(letter: Letter, redriven: Redriven) -> dict[str, object]:
    told_of = {name: letter.told(name) for name in (*COLUMNS, "configuration", "encoding")}
    rest = {"attempts": letter.attempts, "redriven": letter in redriven}
    return {"number": letter.number, **told_of, **rest}


def _print_list(letters: Sequence[Letter], redriven: Redriven) -> None:
    if letters:
        table = new_table("number", *COLUMNS, "")
        for letter in letters:
            texts = (" ".join(letter.told(name).split()) for name in COLUMNS)
            note = "redriven" if letter in redriven else ""
            table.add_row(str(letter.number), *map(_plain, texts), note)
        print_table(table)
    stages = Counter(f"{letter.told('exchange')} {letter.told('stage')}" for letter in letters)
    print(f"{len(letters)} letters, {sum(map(redriven.__contains__, letters))} redriven")
    for stage, count in sorted(stages.items()):
        print(f"  {stage}: {count}")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _described(letter: Letter, registry: Registry) -> Iterator[str]:
    record = letter.restored()
    yield f"letter {letter.number}"
    if record.key is not None:
        yield f"key: {_text(record.key)}"
    for name, octets in letter.metadata.headers:
        yield f"{name}: {_text(octets)}"
    if letter.octets is None:
        yield "octets: none"
    else:
        yield f"octets: {len(letter.octets)} ({letter.encoding or 'as they were received'})"
        yield from _dump(letter.octets)
    yield f"value: {_value(letter, registry)}"


def _text(octets: bytes | None) -> str:
    if octets is None:
        return "null"
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return repr(octets)


def _dump(octets: bytes) -> Iterator[str]:
    """The octets as text where they are that, else in hexadecimal."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable() or set(text) <= set(string.printable):
        yield from text.splitlines()
        return
    for first in range(0, min(len(octets), HEX_BYTES), HEX_COLUMNS):
        row = octets[first : first + HEX_COLUMNS]
        shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
        yield f"{first:08x}  {row.hex(' '):<{3 * HEX_COLUMNS}} {shown}"
    if len(octets) > HEX_BYTES:
        yield f"... {len(octets) - HEX_BYTES} more"


def _value(letter: Letter, registry: Registry) -> str:
    """What the octets stand for, as far as the letter itself tells."""
    if letter.octets is None or letter.encoding in NO_CODECS:
        return "none"
    if not letter.encoding:
        return "as the source of the exchange reads it: dlq redrive --config ... --dry-run"
    try:
        spec = DataSpec.of(json.loads(letter.told("dtype")), json.loads(letter.told("shape")))
        decode = resolve_codec(letter.encoding, spec, registry).decoder(spec)
        return repr(decode(letter.octets))
    except (ConfigError, RecordError, ValueError) as error:
        return f"none: {error}"
