"""Python's logging and a Tango logger agree on level and messages."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from queueconnector_tango.logs import TANGO_LEVELS, DeviceLog
from queueconnector_tango.server import log_level, without_verbosity


class Tango:
    """A Tango logger that notes what it is given."""

    def __init__(self, level: int = 400) -> None:
        self.level = level
        self.told: list[tuple[str, str]] = []

    def get_level(self) -> int:
        return self.level

    def set_level(self, level: int) -> None:
        self.level = level

    def fatal(self, text: str) -> None:
        self.told.append(("fatal", text))

    def error(self, text: str) -> None:
        self.told.append(("error", text))

    def warn(self, text: str) -> None:
        self.told.append(("warn", text))

    def info(self, text: str) -> None:
        self.told.append(("info", text))

    def debug(self, text: str) -> None:
        self.told.append(("debug", text))


@pytest.fixture(autouse=True)
def _root_level() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.setLevel(logging.INFO)
    yield
    root.setLevel(level)
    assert root.handlers == handlers, "a handler was left"


@pytest.fixture
def tango() -> Tango:
    return Tango()


@pytest.fixture
def log(tango: Tango) -> Iterator[DeviceLog]:
    log = DeviceLog(tango)
    yield log
    log.close()


@pytest.mark.parametrize(
    ("level", "method"),
    [
        (logging.CRITICAL, "fatal"),
        (logging.CRITICAL + 5, "fatal"),
        (logging.ERROR, "error"),
        (logging.WARNING, "warn"),
        (logging.WARNING + 1, "warn"),
        (logging.INFO, "info"),
        (logging.DEBUG, "debug"),
        (1, "debug"),
    ],
)
@pytest.mark.usefixtures("log")
def test_each_message_is_handed_over_once_at_its_level(
    tango: Tango, level: int, method: str
) -> None:
    logging.getLogger().setLevel(1)
    logging.getLogger("some.module").log(level, "found %s", "it")
    assert tango.told == [(method, "found it")]


@pytest.mark.usefixtures("log")
def test_text_beyond_latin_1_is_sent_as_utf_8(tango: Tango) -> None:
    logging.getLogger().warning("40 €")
    assert tango.told[0][1].encode("latin-1").decode() == "40 €"


@pytest.mark.usefixtures("log")
def test_an_exception_is_handed_over_with_its_trace(tango: Tango) -> None:
    logging.getLogger().error("failed", exc_info=KeyError("oops"))
    assert tango.told[0][1].splitlines() == ["failed", "KeyError: 'oops'"]


def test_it_begins_with_the_level_of_python(tango: Tango) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    DeviceLog(tango).close()
    assert tango.level == TANGO_LEVELS[logging.DEBUG]


@pytest.mark.parametrize(
    ("tango_level", "python_level"),
    [
        (100, logging.CRITICAL + 1),
        (200, logging.CRITICAL),
        (300, logging.ERROR),
        (400, logging.WARNING),
        (600, logging.DEBUG),
    ],
)
def test_a_level_that_is_set_in_tango_is_taken_over(
    tango: Tango, log: DeviceLog, tango_level: int, python_level: int
) -> None:
    tango.level = tango_level
    log.follow_level()
    assert logging.getLogger().level == python_level


def test_a_level_that_python_sets_is_left_alone(log: DeviceLog) -> None:
    logging.getLogger().setLevel(logging.ERROR)
    log.follow_level()
    assert logging.getLogger().level == logging.ERROR


def test_a_closed_log_hands_nothing_over(tango: Tango) -> None:
    DeviceLog(tango).close()
    logging.getLogger().error("nobody listens")
    assert tango.told == []


def test_a_logger_that_fails_does_no_harm(
    tango: Tango,
    log: DeviceLog,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(_: str) -> None:
        raise RuntimeError("Tango is gone")

    monkeypatch.setitem(log._methods, logging.ERROR, fails)
    logging.getLogger().error("something")
    assert tango.told == []
    assert "Tango is gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "level", "left"),
    [
        (["01"], logging.INFO, ["01"]),
        (["01", "-v"], logging.DEBUG, ["01"]),
        (["01", "-v0"], logging.INFO, ["01"]),
        (["01", "-v2", "-nodb"], logging.INFO, ["01", "-nodb"]),
        (["01", "-v3"], logging.DEBUG, ["01"]),
        (["01", "-v4"], logging.DEBUG, ["01"]),
        (["01", "-v5"], logging.DEBUG, ["01", "-v5"]),
        (["01", "-verbose"], logging.INFO, ["01", "-verbose"]),
    ],
)
def test_the_verbosity_of_the_command_line(
    arguments: list[str], level: int, left: list[str]
) -> None:
    assert log_level(arguments) == level
    assert without_verbosity(arguments) == left
