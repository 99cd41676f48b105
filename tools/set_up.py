"""Make the development environment `.venv`: the workspace, editable, and the tools around it.

Runs on a bare Python 3.11 or later. Versions come from `constraints.txt`. uv installs when it is on
PATH or can be had by pip, otherwise pip does; `--installer pip` keeps uv out altogether.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
CONSTRAINTS = ("--constraint", str(ROOT / "constraints.txt"))
OLDEST_PYTHON = (3, 11)


class SetUpError(Exception):
    """This machine lacks something; the text names it and the way out."""


def editable_members() -> list[str]:
    """Arguments for an installer: every member of the workspace, with all its extras."""
    from workspace import members, pyproject  # needs the Python that was just checked

    arguments: list[str] = []
    for member in members():
        extras = ",".join(pyproject(member)["project"].get("optional-dependencies", {}))
        arguments += ["--editable", f"{member}[{extras}]" if extras else str(member)]
    return arguments


def run(*command: str) -> None:
    """Show `command` and run it in the root; raises `CalledProcessError` when it fails."""
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


def check_python() -> None:
    """Raise `SetUpError` when this Python is too old."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetUpError(
            f"{sys.executable} is Python {found}; Queue Connector needs 3.11 or later. "
            "Name another one: make setup PYTHON=/path/to/python3.11"
        )


def create_environment(with_pip: bool) -> None:
    """Create `.venv` from this Python, unless a working one is there."""
    if PYTHON.exists() and (not with_pip or has_module(str(PYTHON), "pip")):
        return
    if with_pip and not has_module(sys.executable, "ensurepip"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetUpError(
            f"{sys.executable} cannot make virtual environments: its module ensurepip is missing. "
            f"On Debian and Ubuntu: apt-get install python{version}-venv. "
            "Or put uv on PATH, or name another one: make setup PYTHON=/path/to/python3.11"
        )
    run(sys.executable, "-m", "venv", *([] if with_pip else ["--without-pip"]), str(ENVIRONMENT))


def has_module(python: str, name: str) -> bool:
    """Whether `python` finds the module `name`."""
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def installer(choice: str) -> list[str]:
    """Make `.venv` and return the command that installs into it."""
    pip = [str(PYTHON), "-m", "pip", "install"]
    uv = shutil.which("uv") if choice == "auto" else None
    create_environment(with_pip=uv is None)
    if uv is None:
        # The pip that comes with Python may be older than dependency groups.
        run(*pip, "--quiet", *CONSTRAINTS, "--upgrade", "pip")
        if choice == "pip":
            return pip
        try:
            run(*pip, "--quiet", *CONSTRAINTS, "uv")
        except subprocess.CalledProcessError:
            print("uv cannot be had here; going on with pip", flush=True)
            return pip
        uv = str(ENVIRONMENT / "bin" / "uv")
    return [uv, "pip", "install", "--python", str(PYTHON)]


def main() -> int:
    """Set everything up; the exit code is 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--installer", choices=("auto", "pip"), default="auto")
    choice: str = parser.parse_args().installer
    # An activated environment elsewhere must not draw the installation to itself.
    os.environ.pop("VIRTUAL_ENV", None)
    try:
        check_python()
        packages = editable_members()
        run(*installer(choice), *CONSTRAINTS, "--group", "pyproject.toml:dev", *packages)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"the command above ended with exit code {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
