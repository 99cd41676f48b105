"""Where things are in this repository; read from the root `pyproject.toml`, the one place."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def pyproject(folder: Path) -> dict[str, Any]:
    """The parsed `pyproject.toml` of `folder`."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def members() -> list[Path]:
    """Folders of the workspace that hold a distribution, sorted."""
    patterns = pyproject(ROOT)["tool"]["uv"]["workspace"]["members"]
    found = (path.parent for pattern in patterns for path in ROOT.glob(f"{pattern}/pyproject.toml"))
    return sorted(found)


def products() -> list[Path]:
    """Those members that are released: core and the plugins."""
    return [member for member in members() if member.name.startswith("queueconnector_")]
