"""Settings of every test; the real services come from `-p devservices.pytest_plugin`."""

from __future__ import annotations

# stamina imports it at the first retry if it is there, which reads files: not in an event loop.
import prometheus_client  # noqa: F401
import pytest
from hypothesis import settings

from queueconnector_tango.event_buffers import enlarge_event_buffers
from tests.kafka.clients import CLIENTS, choose

# Before anybody loads Tango, as the device server does.
enlarge_event_buffers()

# Examples are timed by the wall clock, and tests share the machine.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

CHAOS_RESULT = "chaos"
"""The property of a test report that holds a row of the table of chaos results."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, since the options of a folder below are not known in time."""
    group = parser.getgroup("chaos", "the chaos suite, tests/chaos")
    group.addoption("--chaos", action="store_true", help="run the long forms of the chaos suite")
    group.addoption(
        "--soak-minutes", type=float, default=60.0, help="how long the long form of the soak is"
    )
    parser.addoption(
        "--kafka-client",
        choices=CLIENTS,
        default=CLIENTS[0],
        help="the library over which the tests of the Kafka ends run",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests of the Kafka ends their client."""
    choose(config.getoption("--kafka-client"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the matrix last.

    It subscribes to hundreds of attributes, and in a process that once did, ZeroMQ takes so long to
    pass on a new subscription that the first events of later tests are lost.
    """
    items.sort(key=lambda item: "matrix" in item.path.parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the chaos suite has measured, for who writes it down elsewhere."""
    rows = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == CHAOS_RESULT and report.when == "call"
    ]
    if rows:
        terminalreporter.section("chaos")
        for row in rows:
            terminalreporter.write_line(row)
