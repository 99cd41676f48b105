"""Judge what is installed beside our own code.

Without options, offline: each third-party distribution has the version of `constraints.txt` and
comes from an index; they go together (`pip check`); the licences of what the released packages
need are on the list below. With `--vulnerabilities`: what the public database knows of the pinned
versions, by pip-audit.

Exit codes: 0 nothing was found, 1 something was, 3 the database could not be asked.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any, Final, TypeAlias

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workspace import ROOT, members, products, pyproject

CONSTRAINTS = ROOT / "constraints.txt"
EXIT_FOUND = 1
EXIT_NOT_ASKED = 3

ALLOWED_LICENCES = re.compile(
    r"Apache|BSD|\bISC\b|Mozilla|MPL-2\.0|\bMIT\b|\bPSF|Python Software Foundation|\bCNRI-Python\b"
    # A library that programs of any licence may use: PyTango.
    r"|LGPL|Lesser General Public"
)

Dependency: TypeAlias = dict[str, Any]
"""What pip-audit says of one: `name`, `version`, and `vulns` or a `skip_reason`."""

CANARY: Final = "urllib3==1.26.4"
"""A version with vulnerabilities that everybody knows."""

BOOTSTRAP = {"pip", "setuptools", "wheel"}
"""They come with Python or make the environment; no constraint holds them."""


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """The version of each distribution that constraints ask for on this machine."""
    found: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).lstrip("=")
    return found


def our_names() -> set[str]:
    """The distributions of this workspace."""
    return {canonicalize_name(pyproject(member)["project"]["name"]) for member in members()}


def version_problems(
    installed: Iterable[Distribution], pins: Mapping[str, str], ours: set[str]
) -> Iterator[str]:
    """What is not as pinned, or does not come from an index."""
    for found in installed:
        name = canonicalize_name(found.name)
        if name in ours:
            continue
        if found.read_text("direct_url.json") is not None:
            yield f"{name} {found.version} comes from an address, not from an index"
        if name not in pins:
            if name not in BOOTSTRAP:
                yield f"{name} {found.version} is installed and not in constraints.txt"
        elif found.version != pins[name]:
            yield f"{name} {found.version} is installed; constraints.txt has {pins[name]}"


def needed_by(names: Iterable[str]) -> set[str]:
    """All that distributions need to run, with all extras of their own, as far as installed."""
    known: set[str] = set()
    waiting = [(canonicalize_name(name), True) for name in names]
    while waiting:
        name, with_extras = waiting.pop()
        if name in known:
            continue
        try:
            requirements = distribution(name).requires or ()
        except PackageNotFoundError:
            continue  # for another platform or Python; `pip check` finds what is missing
        known.add(name)
        for requirement in map(Requirement, requirements):
            marker = requirement.marker
            if marker is None or marker.evaluate() or (with_extras and "extra" in str(marker)):
                waiting.append((canonicalize_name(requirement.name), False))
    return known


def licence_of(found: Distribution) -> str:
    """What a distribution says of its licence: the expression, the classifiers, the first line."""
    metadata: Any = found.metadata  # its type lacks what every message has
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier") or ()
        if text.startswith("License :: ")
    ]
    free = (metadata.get("License") or "").strip().splitlines()[:1]
    return metadata.get("License-Expression") or "; ".join(classifiers or free) or "not told"


def licence_problems(names: Iterable[str]) -> Iterator[str]:
    """Those with a licence that is not on the list."""
    for name in sorted(names):
        licence = licence_of(distribution(name))
        if not ALLOWED_LICENCES.search(licence):
            yield f"{name}: the licence {licence!r} is not on the list of tools/audit.py"


def inconsistencies() -> Iterator[str]:
    """What `pip check` says."""
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield from (done.stdout or done.stderr).splitlines()


def audit() -> int:
    """The offline part; the exit code."""
    ours = our_names()
    pins = pinned(CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    shipped = needed_by(pyproject(product)["project"]["name"] for product in products()) - ours
    problems = [
        *version_problems(distributions(), pins, ours),
        *inconsistencies(),
        *licence_problems(shipped),
    ]
    for problem in problems:
        print(problem)
    print(f"{len(pins)} pinned, {len(shipped)} shipped with, {len(problems)} problems")
    return EXIT_FOUND if problems else 0


class NotAskedError(Exception):
    """The database of vulnerabilities gave no answer."""


def ask(requirements: Path) -> list[Dependency]:
    """What pip-audit answers about pinned requirements; raises `NotAskedError`."""
    command = ["uv", "tool", "run", "pip-audit", "--requirement", str(requirements), "--no-deps"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAskedError(str(error)) from None
    try:
        found: list[Dependency] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise NotAskedError(" ".join(done.stderr.split()[-30:])) from None
    return found


def vulnerabilities(asking: Callable[[Path], list[Dependency]] = ask) -> int:
    """The online part; the exit code.

    A mirror of the index may know no vulnerabilities, for which pip-audit reports success. So one
    that everybody knows is asked for first, and nothing else where it is not found.
    """
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "requirements.txt"
        canary.write_text(CANARY + "\n", encoding="utf-8")
        try:
            (known,) = asking(canary)
            if known.get("vulns"):
                return report(asking(CONSTRAINTS))
            reason = f"{CANARY}: {known.get('skip_reason', 'nothing is known')}"
        except NotAskedError as error:
            reason = str(error)
    print(f"NOT ASKED: the database of vulnerabilities is not reachable: {reason}")
    return EXIT_NOT_ASKED


def report(dependencies: Iterable[Dependency]) -> int:
    """Print what pip-audit found, and what it left out; the exit code."""
    known = skipped = 0
    for dependency in dependencies:
        if "skip_reason" in dependency:
            skipped += 1
            print(f"NOT ASKED: {dependency['skip_reason']}")
        for found in dependency.get("vulns", ()):
            known += 1
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            place = f"{dependency['name']} {dependency['version']}"
            print(f"{place}: {found['id']}, mended in {mended}")
    print(f"{known} vulnerabilities are known, {skipped} distributions were left out")
    if known:
        return EXIT_FOUND
    return EXIT_NOT_ASKED if skipped else 0


def main() -> int:
    """Audit as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vulnerabilities", action="store_true", help="ask the public database")
    return vulnerabilities() if parser.parse_args().vulnerabilities else audit()


if __name__ == "__main__":
    sys.exit(main())
