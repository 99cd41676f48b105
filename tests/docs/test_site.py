"""The site builds without a warning, needs no network, and has no link that leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT
from tests.docs.site import Site

BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    strict = ("--nitpicky", "--fail-on-warning", "--keep-going", "--quiet")
    trees = ("--doctree-dir", str(folder / "trees"))
    done = subprocess.run(
        [str(BIN / "sphinx-build"), *strict, *trees, "--conf-dir", "docs", ".", folder / "html"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    """The pages of it."""
    return Site(folder)


def test_every_page_is_in_it(folder: Path) -> None:
    wanted = {Path(page).with_suffix(".html") for page in PAGES if page != "README.md"}

    assert [page for page in sorted(wanted) if not (folder / page).is_file()] == []


def test_no_link_leads_nowhere(site: Site) -> None:
    assert site.broken() == []


def test_nothing_is_loaded_from_elsewhere(site: Site, folder: Path) -> None:
    styles = "\n".join(style.read_text("utf-8") for style in folder.rglob("*.css"))

    assert site.loaded_from_elsewhere() == set()
    assert re.findall(r"(?:url\(|@import)\s*['\"]?https?:[^)'\"]+", styles) == []


def test_the_front_page_is_where_a_browser_looks_first(folder: Path) -> None:
    assert "url=docs/index.html" in (folder / "index.html").read_text("utf-8")
