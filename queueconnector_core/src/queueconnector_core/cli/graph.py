"""`queueconnector graph`: a configuration as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from queueconnector_core.cli.checking import check_text
from queueconnector_core.cli.files import read_text
from queueconnector_core.cli.mermaid import mermaid
from queueconnector_core.cli.picture import picture_of
from queueconnector_core.cli.problems import told
from queueconnector_core.cli.svg import svg
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, Problem

__all__ = ("graph",)

_WRITERS = {"mermaid": mermaid, "svg": svg}


def graph(
    config: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    format_: Annotated[Literal["mermaid", "svg"], Parameter(name="--format")] = "mermaid",
    output: Path | None = None,
) -> int:
    """Draw a configuration: sources, pipes and sinks, and the dtype and shape of what flows.

    Groups are frames; the sinks of dead letters and of gaps are dashed. Nothing is connected.

    Exit codes: 0, 2 when the configuration cannot be accepted (`queueconnector check` says why).

    Examples: `queueconnector graph night.json`,
    `queueconnector graph night.json --format svg --output night.svg`.

    Parameters
    ----------
    config
        The path of the JSON configuration, or `-` for standard input.
    format_
        Text for Mermaid, or an SVG document.
    output
        The file to write; left out: standard output.
    """

    def command() -> int:
        registry = discover().registry
        checked = check_text(read_text(config), registry)
        if checked.errors:
            raise ConfigError([Problem(found.path, found.message) for found in checked.errors])
        text = _WRITERS[format_](picture_of(checked.plan, registry))
        if output is None:
            print(text, end="")
        else:
            _write(output, text)
        return 0

    return told(command)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError.at("--output", f"cannot write {path}: {error.strerror}") from None
