"""Executes a Containerfile without a container engine: folders for file systems, no isolation."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import ROOT

TIMEOUT_S = 240

MAKES_USERS = "useradd "
"""A step with this is left out: it would change the machine."""


class Instruction(NamedTuple):
    """One instruction, with its continued lines joined."""

    word: str
    rest: str


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Containerfile."""
    without_comments = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in without_comments.replace("\\\n", " ").splitlines():
        if line.strip():
            yield Instruction(*line.split(maxsplit=1))


class Stage:
    """A folder in place of a file system, with a Python environment in place of the base image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder
        self.variables: dict[str, str] = {}
        self.users: list[str] = []
        self.commands: dict[str, list[str]] = {}
        subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)

    def place(self, path: str) -> Path:
        """Where a path of the image is."""
        return self.folder / path.lstrip("/") if path.startswith("/") else self.work / path

    def copy(self, rest: str, context: Path, stages: Mapping[str, Stage]) -> None:
        """Copy from the context, or from another stage."""
        origin, *paths = shlex.split(rest)
        if origin.startswith("--from="):
            stage = stages[origin.removeprefix("--from=")]
            sources = [stage.place(path) for path in paths[:-1]]
        else:
            sources = [context / path for path in (origin, *paths[:-1])]
        target = self.place(paths[-1])
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)

    def environment(self) -> dict[str, str]:
        """The variables of a process in the image."""
        kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        path = f"{self.folder / 'python' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return kept | self.variables | {"PATH": path}

    def here(self, command: str) -> str:
        """A command with the paths of the image turned into those of the folder."""
        return re.sub(r"(?<![\w.])/(?=wheels|opt|data)", f"{self.folder}/", command)

    def execute(self, word: str, rest: str) -> None:
        """Follow any instruction but those that concern other stages."""
        if word == "RUN":
            if MAKES_USERS not in rest:
                self.run(rest)
        elif word == "WORKDIR":
            self.work = self.place(rest)
            self.work.mkdir(parents=True, exist_ok=True)
        elif word == "ENV":
            name, value = rest.split("=", 1)
            self.variables[name] = self.here(value)
        elif word == "USER":
            self.users.append(rest)
        elif word in {"CMD", "ENTRYPOINT", "HEALTHCHECK"}:
            self.commands[word] = json.loads(rest[rest.index("[") :])
        else:
            assert word == "VOLUME", f"{word} is unknown here"

    def run(self, command: str) -> None:
        """Execute a step; `AssertionError` with what it printed when it fails."""
        done = subprocess.run(
            ["sh", "-c", self.here(command)], cwd=self.work, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"


def context_of(folder: Path) -> Path:
    """What the builder is given of the repository, as `.dockerignore` says: only its exceptions."""
    patterns = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for pattern in patterns:
        for source in ROOT.glob(pattern[1:]) if pattern.startswith("!") else ():
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / source.name, ignore=ignored)
            else:
                shutil.copy(source, folder)
    return folder


def build(text: str, folder: Path) -> dict[str, Stage]:
    """Execute every stage; by name, the last one as the empty name."""
    (folder / "context").mkdir()
    context = context_of(folder / "context")
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for word, rest in instructions(text):
        if word == "FROM":
            name = rest.split(" AS ")[1] if " AS " in rest else ""
            (folder / f"stage-{name}").mkdir()
            stages[name] = stage = Stage(folder / f"stage-{name}")
        elif word == "COPY" and stage:
            stage.copy(rest, context, stages)
        elif stage:
            stage.execute(word, rest)
        else:
            assert word == "ARG", f"{word} before the first FROM"
    return stages
