"""Give all packages a new version, and turn the news fragments into the changelog.

`python tools/release.py 0.2.0` changes files only; whoever releases reads the difference, commits
it and sets the tag `v0.2.0`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

from workspace import ROOT, members, products, pyproject

PIN = re.compile(r'"(queueconnector-[a-z-]+)~=[^"]+"')
"""What a distribution needs of another one of its own release."""


def set_version(project: Path, current: Version, version: Version) -> None:
    """Write the version of one distribution, if it goes with all, and of what it needs of them."""
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace(f'\nversion = "{current}"\n', f'\nversion = "{version}"\n', 1)
    text = PIN.sub(rf'"\1~={version.major}.{version.minor}.0"', text)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Write the new version everywhere; the exit code is 2 when it is none, or not a later one."""
    current = Version(pyproject(products()[0])["project"]["version"])
    try:
        version = Version(sys.argv[1])
    except (IndexError, InvalidVersion):
        print("give the new version, such as 0.2.0", file=sys.stderr)
        return 2
    if version <= current:
        print(f"{version} is not later than {current}", file=sys.stderr)
        return 2
    for project in members():
        set_version(project, current, version)
    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", str(version)]
    subprocess.run(command, cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
