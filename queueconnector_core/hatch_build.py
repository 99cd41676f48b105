"""Brings the library that draws the plots of the status page into the package.

It is uPlot (MIT), from npm; source archives and wheels hold it, so that only a build from a
checkout asks for it, once.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "uplot@1.6.32"
SHA512: Final = (
    "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
)
FOLDER: Final = "src/queueconnector_core/web/static/uplot"
FILES: Final = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")


class PlotsBuildHook(BuildHookInterface[Any]):
    """Runs before an archive, a wheel or an editable installation is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch what is missing; raises `RuntimeError` that says what is needed."""
        folder = Path(self.root, FOLDER)
        if not all((folder / Path(name).name).exists() for name in FILES):
            fetch(folder)
        build_data["artifacts"].append(f"/{FOLDER}/*")


def fetch(folder: Path) -> None:
    """Put the files of the library into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(f"a checkout is built with {PACKAGE}, and npm is not installed; add it")
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=temporary, check=True)
        archive = next(Path(temporary).glob("*.tgz"))
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            raise RuntimeError(f"{PACKAGE} is not the expected one: sha512 {found}")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as members:
            members.extractall(temporary, filter="data")
        for name in FILES:
            shutil.copy(Path(temporary, "package", name), folder)
