"""Compare the public names of core with those of the last release.

What breaks a plugin must be told: without a fragment `changes/core/*.removal.md` it is an error.
Give a commit to compare with another one than the newest tag `v*`.
"""

from __future__ import annotations

import subprocess
import sys

import griffe

from workspace import ROOT
from write_api import INNER, PACKAGE, SOURCES


def last_release() -> str | None:
    """The newest tag of a release that this commit descends from."""
    command = ("git", "describe", "--tags", "--abbrev=0", "--match", "v*")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def breakages(reference: str) -> list[str]:
    """What no longer is as it was at `reference`, one line each."""
    before = griffe.load_git(PACKAGE, ref=reference, repo=ROOT, search_paths=[SOURCES])
    now = griffe.load(PACKAGE, search_paths=[str(ROOT / SOURCES)])
    inner = tuple(f"{PACKAGE}.{name}" for name in INNER)
    return [
        f"{breakage.obj.path}: {breakage.kind.value}"
        for breakage in griffe.find_breaking_changes(before, now)
        if not breakage.obj.path.startswith(inner)
    ]


def main() -> int:
    """Print what breaks plugins; the exit code is 1 when nothing tells of it."""
    reference = sys.argv[1] if len(sys.argv) > 1 else last_release()
    if reference is None:
        print("no release to compare the public names with yet")
        return 0
    found = breakages(reference)
    told = [path.name for path in (ROOT / "changes" / "core").glob("*.removal.md")]
    print("\n".join([*found, f"{len(found)} breaking changes since {reference}; told: {told}"]))
    return 1 if found and not told else 0


if __name__ == "__main__":
    sys.exit(main())
