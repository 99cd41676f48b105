"""How Sphinx makes the site: `make docs` writes it to `build/site`.

The root of the repository is the source, not this folder: so the links between pages, read-mes and
files are the same on the site and wherever else the Markdown is read.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = "Queue Connector"
release = tomllib.loads((ROOT / "queueconnector_core/pyproject.toml").read_text("utf-8"))[
    "project"
]["version"]
extensions = ["myst_parser", "sphinx_copybutton"]

root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "queueconnector_*/README.md",
    "examples/*/README.md",
    "CHANGELOG.md",
]
exclude_patterns = [".*", "build", "dist", "tests", "**/src", "**/tests", "**/__pycache__"]

myst_heading_anchors = 4
"""Headings can be linked to as on code hosts, down to the fourth level."""

smartquotes = False
"""Quotes and double hyphens belong to JSON and to commands, also outside of code."""

html_theme = "furo"
html_title = "Queue Connector"
html_static_path = ["_site"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
html_additional_pages = {"index": "forward.html"}
templates_path = ["_templates"]
