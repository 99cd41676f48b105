"""A secret is read from where a configuration says, is shown nowhere, and its absence is told."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from queueconnector_core.errors import FatalError
from queueconnector_core.secret import (
    MAX_SECRET_BYTES,
    Secret,
    SecretReference,
    check_reference,
)

TEXT = "tr0ub4dor&3"


def reference(env: str | None = None, file: Path | str | None = None) -> SecretReference:
    return SecretReference("password of user 'me'", env, None if file is None else str(file))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_it_is_read_anew_each_time_without_the_newline_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes((TEXT + end).encode())
    monkeypatch.setenv("MINE", TEXT + end)
    assert reference(file=file).read() == reference("MINE").read() == TEXT
    file.write_text(" another wörd ")
    assert reference("MINE", file).read() == " another wörd "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe" + TEXT.encode(), "is not UTF-8 text"),
        (TEXT.encode() + b"\nmore", "more than one line"),
        (TEXT.encode() + b"\0", "more than one line, or what is no text"),
        (TEXT.encode() * MAX_SECRET_BYTES, "larger than 65536 bytes"),
    ],
)
def test_a_file_that_is_no_secret_is_named_and_nothing_of_it_is_shown(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FatalError, match=reason) as told:
        reference(file=file).read()
    assert str(told.value).startswith(f"no password of user 'me': password_file '{file}'")
    assert told.value.__context__ is None
    trace = traceback.TracebackException.from_exception(told.value, capture_locals=True)
    frames = [frame.locals for frame in trace.stack if Path(frame.filename).name == "secret.py"]
    assert frames
    assert TEXT not in str(frames)


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (None, "neither password_env nor password_file says where it is"),
        ("UNSET", "the environment variable UNSET is not set; password_env or password_file say"),
        ("EMPTY", "the environment variable EMPTY is empty"),
    ],
)
def test_a_variable_that_is_no_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, env: str | None, reason: str
) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(FatalError, match=reason):
        reference(env).read()


def test_a_path_that_cannot_be_one_is_told() -> None:
    with pytest.raises(FatalError, match="is no path"):
        reference(file="a\0b").read()


def test_it_is_text_that_does_not_show_itself_in_a_representation() -> None:
    secret = Secret(TEXT)
    assert secret == TEXT
    assert secret.encode() == TEXT.encode()
    assert TEXT not in f"{secret!r} {[secret]} { ({'password': secret}) }"


def test_two_references_or_none_are_problems_at_the_option() -> None:
    assert [p.path for p in check_reference("A", "/b")] == ["password_file"]
    assert [p.path for p in check_reference("A", "/b", "key_password")] == ["key_password_file"]
    assert [p.path for p in check_reference(None, None, required=True)] == ["password_env"]
    assert not [*check_reference("A", None, required=True), *check_reference(None, None)]
