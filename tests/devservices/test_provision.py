"""Provisioning reports each service, and can insist on all of them."""

import os
import subprocess
import sys

import pytest

from devservices import provision


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devservices.provision", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_provided_machine_has_every_service() -> None:
    result = run("--require-all")
    assert result.returncode == 0, result.stdout
    for service in provision.SERVICES:
        assert f"{service}: available (" in result.stdout


def test_what_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(provision, "can_install", lambda: False)
    monkeypatch.setattr(sys, "argv", ["provision"])
    assert provision.main() == 0
    monkeypatch.setattr(sys, "argv", ["provision", "--require-all"])
    assert provision.main() == 1
    printed = capsys.readouterr().out
    assert "not installed, as this is not Debian with root rights" in printed
    assert "Apache Kafka: not available (no java on PATH; to get it: install Java 17" in printed
    assert "Tango database: available (pytango-db" in printed
