"""Secrets by reference: a configuration says where a secret is, never the secret itself.

A component has options `<name>_env` and `<name>_file`, checks them with `check_reference`, and
reads the secret when it starts, so that one that was changed is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from queueconnector_core.errors import FatalError, Problem

__all__ = ("Secret", "SecretReference", "by_reference", "check_reference", "MAX_SECRET_BYTES")

MAX_SECRET_BYTES: Final = 65_536
"""A file that is larger holds something else."""


class Secret(str):
    """Text that shows itself to nobody who merely looks: in a `repr`, in the locals of a trace."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


@attrs.frozen
class SecretReference:
    """Where a secret is: in an environment variable or in a file."""

    what: str
    """What it is and whose, for messages: `password of user 'connector'`."""
    env: str | None
    file: str | None
    option: str = "password"
    """The options that refer to it are this with `_env` and `_file`."""

    def read(self) -> Secret:
        """The secret as it is now, without the newline at its end.

        Reads a file, so that it is not for the event loop. Raises `FatalError` that says where it
        was sought and why it is not there, and never any of what was found.
        """
        if self.file is not None:
            place, found = f"{self.option}_file {self.file!r}", _content(self.file)
        elif self.env is not None:
            place, found = f"the environment variable {self.env}", self._variable(self.env)
        else:
            place = f"neither {self.option}_env nor {self.option}_file"
            found = _Absent("says where it is")
        if isinstance(found, _Absent):
            raise FatalError(f"no {self.what}: {place} {found.reason}")
        return found

    def _variable(self, name: str) -> Secret | _Absent:
        if name not in os.environ:
            told = f"is not set; {self.option}_env or {self.option}_file say where it is"
            return _Absent(told)
        return _checked(os.environ[name])


@attrs.frozen
class _Absent:
    """Why there is no secret; returned, as an error would keep what was found in its frames."""

    reason: str


def _content(path: str) -> Secret | _Absent:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - no more than the limit is read
            found = file.read(MAX_SECRET_BYTES + 1)
        if len(found) > MAX_SECRET_BYTES:
            return _Absent(f"is larger than {MAX_SECRET_BYTES} bytes")
        return _checked(found.decode("utf-8"))
    except UnicodeDecodeError:
        return _Absent("is not UTF-8 text")
    except OSError as error:
        return _Absent(f"cannot be read: {error.strerror}")
    except ValueError:
        return _Absent("is no path")


def _checked(found: str) -> Secret | _Absent:
    secret = Secret(found.rstrip("\r\n"))
    if not secret:
        return _Absent("is empty")
    if not secret.isprintable():
        return _Absent("holds more than one line, or what is no text")
    return secret


def by_reference(*options: str) -> Mapping[str, str]:
    """The `former_options` that answer whoever writes a secret itself into a configuration."""
    told = "a secret does not stand in a configuration; {0}_env or {0}_file say where it is"
    return {option: told.format(option) for option in options}


def check_reference(
    env: str | None, file: str | None, option: str = "password", *, required: bool = False
) -> Iterator[Problem]:
    """The problems of the two options that refer to one secret."""
    if env is not None and file is not None:
        yield Problem(f"{option}_file", f"{option}_env is there too; allowed: one of them")
    if required and env is None and file is None:
        text = f"is required, or {option}_file: the environment variable or the file that holds it"
        yield Problem(f"{option}_env", text)
