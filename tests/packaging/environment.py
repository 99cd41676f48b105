"""Wheels, clean environments outside the checkout, and the programs that run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
from packaging.requirements import Requirement

from workspace import ROOT

TIMEOUT_S = 60


def build_wheel(project: Path, folder: Path) -> None:
    """Build the wheel of `project` into `folder`."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder)]
    subprocess.run([*command, str(project)], check=True, capture_output=True, timeout=TIMEOUT_S)


def distribution_of(wheel: Path) -> str:
    """The name of the distribution in a wheel."""
    return wheel.name.split("-")[0].replace("_", "-")


@attrs.frozen
class Environment:
    """A virtual environment with wheels in it."""

    folder: Path

    @classmethod
    def create(
        cls, folder: Path, wheels: Iterable[Path], requirements: Sequence[str]
    ) -> Environment:
        """Install `requirements`, which are among `wheels`, and what they depend on.

        Whatever is among `wheels` comes from there, and is not even looked for in an index.
        """
        if folder.is_relative_to(ROOT):
            raise ValueError(f"{folder} is inside the checkout")
        (folder / "work").mkdir(parents=True)
        constraints = folder / "constraints.txt"
        places = {distribution_of(wheel): wheel.as_uri() for wheel in wheels}
        ours = "".join(f"{name} @ {place}\n" for name, place in places.items())
        constraints.write_text((ROOT / "constraints.txt").read_text() + ours)
        # pip does not look for `name[extra]` where a constraint says that `name` is.
        direct = [f"{text} @ {places[Requirement(text).name]}" for text in requirements]
        environment = cls(folder)
        python = environment.command("python")
        beside = shutil.which("uv", path=str(Path(sys.executable).parent))
        if uv := shutil.which("uv") or beside:
            environment.call([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "v")])
            install = [uv, "pip", "install", "--quiet", "--python", python]
        else:
            environment.call([sys.executable, "-m", "venv", str(folder / "v")])
            install = [python, "-m", "pip", "install", "--quiet"]
        environment.call([*install, "--constraint", str(constraints), *direct])
        return environment

    @property
    def work(self) -> Path:
        """An empty folder outside the checkout, in which everything runs."""
        return self.folder / "work"

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a process that sees this environment alone."""
        kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        return {**kept, "PYTHONSAFEPATH": "1"}

    def command(self, name: str) -> str:
        """The path of a program of this environment."""
        return str(self.folder / "v" / "bin" / name)

    def call(self, command: Sequence[str]) -> str:
        """The output of any command; `AssertionError` with all it printed when it fails."""
        done = subprocess.run(
            command, cwd=self.work, env=self.variables, check=False,
            capture_output=True, text=True, timeout=2 * TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(
        self, name: str, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment to its end, whatever that is."""
        return subprocess.run(
            [self.command(name), *arguments], cwd=self.work, env=self.variables, check=False,
            capture_output=True, text=True, timeout=TIMEOUT_S, input=stdin,
        )  # fmt: skip

    def python(self, code: str, *options: str) -> str:
        """The output of a small program, which must not fail."""
        return self.call([self.command("python"), *options, "-c", code])

    def write(self, name: str, content: str | bytes) -> str:
        """Write a file into the working folder; returns its path."""
        path = self.work / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)
