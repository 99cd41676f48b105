"""What the page about the conformance kit shows is run as the tests of a plugin are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import blocks

PAGE = "docs/how-to/test-a-plugin.md"
SETTINGS = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


def test_the_tests_of_the_page_pass_but_for_the_stale_waiver(tmp_path: Path) -> None:
    conftest, *code = blocks(PAGE, "python")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_line_files.py").write_text("\n\n".join(code))
    command = [sys.executable, "-m", "pytest", "-q", "--conformance-report", "report.json"]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    rows = json.loads((tmp_path / "report.json").read_text())

    failed = {(row["suite"], row["test"]) for row in rows if row["outcome"] == "failed"}
    assert failed == {("TestOldSink", "test_order")}, done.stdout
    assert "[XPASS(strict)] waived: the far end sorts by itself" in done.stdout
    assert "not applicable: 4.5 test_what_was_not_acknowledged_comes_again" in done.stdout
    assert {row["suite"] for row in rows} == {
        "TestLineFileSource",
        "TestLineFileSink",
        "TestLineFileSinkDescriptor",
        "TestWindow",
        "TestJson",
        "TestOldSink",
    }
