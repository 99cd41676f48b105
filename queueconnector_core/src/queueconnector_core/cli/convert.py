"""`queueconnector convert`: configurations of older releases in the words of this one."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from queueconnector_core.cli.checking import every_service
from queueconnector_core.cli.converting import convert_document
from queueconnector_core.cli.files import read_text
from queueconnector_core.cli.problems import told
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import examine
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json

__all__ = ("convert",)


def convert(
    config: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    in_place: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Bring a configuration of an older release up to date.

    Aliases and former names of types and dtypes become the present ones; options that are gone are
    left out. Everything else, and the order, stays. Each change is told on standard error. Where
    the old configuration is still accepted, the new one is proven to mean the same.

    Exit codes: 0, also when nothing was to be changed; 2 when the result cannot be accepted yet: it
    is printed all the same, and `queueconnector check` says what is left to do.

    Examples: `queueconnector convert old.json > new.json`,
    `queueconnector convert --in-place night.json`.

    Parameters
    ----------
    config
        The path of the JSON configuration, or `-` for standard input.
    in_place
        Write the file anew, in place of printing; one that needs no change is not touched.
    """

    def command() -> int:
        if in_place and config == "-":
            raise ConfigError.at("--in-place", "needs a file; standard input is not one")
        registry = discover().registry
        text = read_text(config)
        old = read_json(text) if text.strip() else None
        new, changes = convert_document(old, registry)
        for change in changes:
            print(f"{change.path or config}: {change.message}", file=sys.stderr)
        problems = _prove(old, new, registry)
        converted = json.dumps(new, indent=_indent(text), ensure_ascii=False) + "\n"
        if not changes:
            print(f"{config}: nothing to change", file=sys.stderr)
            converted = text
        if not in_place:
            print(converted, end="")
        elif changes:
            _replace(Path(config), converted)
        if problems is not None:
            raise problems
        return 0

    return told(command)


def _prove(old: Any, new: Any, registry: Registry) -> ConfigError | None:
    """What is still wrong with the new document.

    Raises `ConfigError` when it means something else than the old one, which would be a defect.
    """
    before, after = (examine(each, registry, every_service(registry)) for each in (old, new))
    if not before.problems and before.plan != after.plan:
        raise ConfigError.at("", "the converted configuration would mean something else; not done")
    return ConfigError(after.problems) if after.problems else None


def _indent(text: str) -> int | None:
    """How the text is indented; None: it stands in one line."""
    if "\n" not in text.strip():
        return None
    match = re.search(r"\n( +)\S", text)
    return len(match[1]) if match else 2


def _replace(path: Path, text: str) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    unfinished = path.with_name(f".{path.name}.new")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.chmod(path.stat().st_mode)
        os.replace(unfinished, path)  # noqa: PTH105 - that of Path has no other meaning
    except OSError as error:
        raise ConfigError.at("--in-place", f"cannot write {path}: {error.strerror}") from None
