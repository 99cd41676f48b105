"""Writes the page of the conformance kit."""

from __future__ import annotations

from tests.conformance.page import PATH, text

PATH.write_text(text(), "utf-8")
