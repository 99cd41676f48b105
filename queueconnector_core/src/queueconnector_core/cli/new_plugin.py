"""`queueconnector new-plugin`: a distribution with a source and a sink, to be changed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Final

from cyclopts import Parameter

from queueconnector_core.cli.problems import told
from queueconnector_core.errors import ConfigError
from queueconnector_core.hookspecs import API_VERSION

__all__ = ("new_plugin",)

PREFIX: Final = "queueconnector-"
NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
MAX_NAME: Final = 30
TAKEN: Final = frozenset({"core", "memory", "kafka", "tango", "sdp", "devservices"})
"""The names of the project's own distributions."""

FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "src/$package/__init__.py": "init.py",
    "src/$package/py.typed": "",
    "src/$package/plugin.py": "plugin.py",
    "src/$package/descriptors.py": "descriptors.py",
    "src/$package/source.py": "source.py",
    "src/$package/sink.py": "sink.py",
    "tests/conftest.py": "conftest.py",
    "tests/test_conformance.py": "test_conformance.py",
}
"""Each file of the distribution, and the template of its content; without one it is empty."""


def new_plugin(
    name: str, /, *, directory: Annotated[Path, Parameter(name=("--directory", "-d"))] = Path()
) -> int:
    """Make a distribution with a source and a sink that work, and tests on the conformance kit.

    It reads and writes the files of a folder. Put your transport in their place.

    Exit codes: 0, 2 when the name cannot be used or the folder is there already.

    Parameters
    ----------
    name
        The name of the transport, such as amqp or acme-scope: lower-case letters, digits and
        hyphens. The distribution is queueconnector-NAME.
    directory
        The folder in which that of the distribution is made.
    """

    def command() -> int:
        short = _checked(name)
        folder = directory / f"{PREFIX}{short}"
        _write(folder, _words(short))
        print(_next_steps(folder, short))
        return 0

    return told(command)


def _checked(name: str) -> str:
    short = name.removeprefix(PREFIX)
    allowed = "lower-case letters and digits, with hyphens between words, such as acme-scope"
    if not NAME.fullmatch(short) or len(short) > MAX_NAME:
        raise ConfigError.at(
            "", f"found {name!r}; a name has {allowed}, and at most {MAX_NAME} characters"
        )
    if short in TAKEN:
        raise ConfigError.at("", f"{PREFIX}{short} is one of the project's own; use another name")
    return short


def _words(short: str) -> Mapping[str, str]:
    """What stands for the words of the templates."""
    version = importlib.metadata.version("queueconnector-core")
    return {
        "distribution": f"{PREFIX}{short}",
        "package": f"{PREFIX}{short}".replace("-", "_"),
        "short": short.replace("-", "_"),
        "title": "".join(word.capitalize() for word in short.split("-")),
        "api": str(API_VERSION),
        "core": ".".join(version.split(".")[:2]) + ".0",
    }


def _write(folder: Path, words: Mapping[str, str]) -> None:
    templates = files("queueconnector_core.cli") / "templates" / "plugin"
    try:
        folder.mkdir(parents=True)
        for place, template in FILES.items():
            path = folder / Template(place).substitute(words)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (templates / f"{template}.template").read_text("utf-8") if template else ""
            path.write_text(Template(text).substitute(words), "utf-8")
    except FileExistsError:
        raise ConfigError.at("", f"{folder} is there already; nothing was changed") from None
    except OSError as error:
        raise ConfigError.at("", f"cannot write {folder}: {error.strerror}") from None


def _next_steps(folder: Path, short: str) -> str:
    return (
        f"{folder} is made: a source and a sink that work on the files of a folder.\n"
        "Next:\n"
        f"  cd {folder}\n"
        "  pip install --editable '.[dev]'\n"
        f"  queueconnector list            # shows {_words(short)['title']}Source\n"
        "  pytest                         # the conformance kit\n"
        f"Then put your transport into src/{_words(short)['package']}/source.py and sink.py."
    )
