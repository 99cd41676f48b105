"""Setting up fails early on a machine that lacks something, and says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import set_up
from set_up import SetUpError, check_python, create_environment, editable_members, has_module


def test_an_old_python_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "OLDEST_PYTHON", (99, 0))

    with pytest.raises(SetUpError, match=r"make setup PYTHON="):
        check_python()


def test_a_python_without_ensurepip_gets_the_debian_package_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "PYTHON", tmp_path / "bin" / "python")
    monkeypatch.setattr(set_up, "has_module", lambda _python, name: name != "ensurepip")

    with pytest.raises(SetUpError, match=r"apt-get install python3\.\d+-venv"):
        create_environment(with_pip=True)


def test_modules_are_looked_for_in_the_named_python() -> None:
    assert has_module(sys.executable, "json")
    assert not has_module(sys.executable, "no_such_module_anywhere")


def test_every_member_is_installed_editable_with_its_extras() -> None:
    arguments = editable_members()

    assert arguments[::2] == ["--editable"] * (len(arguments) // 2)
    core = "queueconnector_core[cli,otel,record,web,testing]"
    assert any(argument.endswith(core) for argument in arguments)
    assert any(argument.endswith("queueconnector_memory") for argument in arguments)
