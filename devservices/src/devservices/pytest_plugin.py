"""Session fixtures that start each real service on first use, and say at the end which ones ran.

Loaded with ``-p devservices.pytest_plugin``. Where a service cannot be had, the
tests that need it are skipped and the summary counts them; with ``CI=true`` they fail.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

import pytest

from . import kcat as kcat_client
from .chromium import Chromium
from .debian_tango import DebianTangoDatabase
from .embedded import EmbeddedBroker
from .errors import ServiceUnavailable
from .etcd import EtcdServer
from .kafka import KafkaBroker
from .mosquitto import MosquittoServer
from .service import Service
from .tango import TangoDatabase, TangoTest, tango_admin_version

S = TypeVar("S", bound=Service)

TANGO_DATABASES = {"pytango": TangoDatabase, "debian": DebianTangoDatabase}

_USED = pytest.StashKey[list[str]]()
_MISSING = pytest.StashKey[list[tuple[str, str]]]()
"""The name of each service that was missing, and the whole message."""

_WORKER_OUTPUT = "devservices"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of the Tango database."""
    parser.addoption(
        "--tango-database",
        choices=list(TANGO_DATABASES),
        default="pytango",
        help="what the fixture tango_database starts: pytango-db, or Debian's tango-db on MariaDB",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no service used."""
    config.stash[_USED] = []
    config.stash[_MISSING] = []
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Gathering(config))


class _Gathering:
    """Passes on what the workers of pytest-xdist have used to the process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._stash = config.stash

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave it for the reporting process, in a worker."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_WORKER_OUTPUT] = (self._stash[_USED], self._stash[_MISSING])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take it from a worker that has ended."""
        used, missing = getattr(node, "workeroutput", {}).get(_WORKER_OUTPUT, ((), ()))
        for known, more in ((self._stash[_USED], used), (self._stash[_MISSING], missing)):
            known += [found for found in map(_hashable, more) if found not in known]


def _hashable(found: Any) -> Any:
    """A pair as it was: on the way from a worker it may become a list."""
    return tuple(found) if isinstance(found, list) else found


@pytest.fixture(scope="session")
def kafka_broker(request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A running Apache Kafka; share it by using topic names of your own."""
    yield from _serve(request, KafkaBroker)


@pytest.fixture(scope="session")
def embedded_broker(request: pytest.FixtureRequest) -> Iterator[EmbeddedBroker]:
    """A running mock cluster; see its class for what it is not."""
    yield from _serve(request, EmbeddedBroker)


@pytest.fixture(scope="session")
def etcd_server(request: pytest.FixtureRequest) -> Iterator[EtcdServer]:
    """A running etcd; share it by using keys of your own."""
    yield from _serve(request, EtcdServer)


@pytest.fixture(scope="session")
def mosquitto(request: pytest.FixtureRequest) -> Iterator[MosquittoServer]:
    """A running Mosquitto; share it by using topics and client identifiers of your own."""
    yield from _serve(request, MosquittoServer)


@pytest.fixture(scope="session")
def tango_database(request: pytest.FixtureRequest) -> Iterator[TangoDatabase]:
    """A running, at first empty Tango database; `--tango-database` says which."""
    yield from _serve(request, TANGO_DATABASES[request.config.getoption("--tango-database")])


@pytest.fixture(scope="session")
def tango_test(
    request: pytest.FixtureRequest, tango_database: TangoDatabase
) -> Iterator[TangoTest]:
    """A running TangoTest with device ``sys/tg_test/1`` in ``tango_database``."""
    yield from _serve(request, lambda: TangoTest(tango_database))


@pytest.fixture(scope="session")
def tango_admin(request: pytest.FixtureRequest) -> str:
    """The name of the command, where it is installed."""
    _note(request.config, lambda: f"tango_admin {tango_admin_version()}")
    return "tango_admin"


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Chromium]:
    """A running headless browser with one page."""
    yield from _serve(request, Chromium)


@pytest.fixture(scope="session")
def kcat(request: pytest.FixtureRequest) -> ModuleType:
    """The module ``devservices.kcat``, where kcat is installed."""
    _note(request.config, lambda: f"kcat {kcat_client.kcat_version()}")
    return kcat_client


def _serve(request: pytest.FixtureRequest, build: Callable[[], S]) -> Iterator[S]:
    service = build()
    _note(request.config, service.check)
    with service:
        yield service


def _note(config: pytest.Config, check: Callable[[], str]) -> None:
    """Remember the service as used, or as missing and then leave the test."""
    try:
        config.stash[_USED].append(check())
    except ServiceUnavailable as error:
        config.stash[_MISSING].append((error.service, str(error)))
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print which real services were used, and what each missing one has kept from running."""
    used = config.stash[_USED]
    terminalreporter.write_line(f"real services used: {', '.join(used) or 'none'}")
    lost = Counter(
        service
        for report in terminalreporter.getreports("skipped") + terminalreporter.getreports("error")
        for service, message in config.stash[_MISSING]
        if message in report.longreprtext
    )
    for service, message in config.stash[_MISSING]:
        terminalreporter.write_line(f"NOT RUN, {lost[service]} tests: {message}", yellow=True)
