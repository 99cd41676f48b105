"""Real Tango services: a database, a server of our own in three ways, and TangoTest."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import tango

from devservices import ServiceFailed, ServiceUnavailable
from devservices.process import is_listening, wait_until
from devservices.tango import TangoDatabase, TangoDeviceServer, TangoTest

ECHO = [sys.executable, str(Path(__file__).parent / "echo_server.py")]
DEVICES = ["test/echo/1", "test/echo/2"]
GREETING = {"test/echo/1": {"greeting": "good morning, all"}}


@pytest.fixture(scope="module")
def database() -> Iterator[TangoDatabase]:
    with TangoDatabase() as database:
        yield database
    assert not is_listening(database.port)


@pytest.fixture(scope="module")
def tango_test_server(database: TangoDatabase) -> Iterator[TangoTest]:
    with TangoTest(database, device="test/tango_test/1", instance="own") as server:
        yield server


def echo_server(name: str, database: TangoDatabase | None = None) -> TangoDeviceServer:
    properties = None if name == "nodb" else GREETING
    return TangoDeviceServer(
        ECHO, "Echo", name, "Echo", DEVICES, database=database, properties=properties
    )


def answers(proxy: tango.DeviceProxy) -> bool:
    try:
        return bool(proxy.ping())
    except tango.DevFailed:
        return False


def test_properties_outlive_a_restart_of_the_database(database: TangoDatabase) -> None:
    database.register("Some", "1", "Some", "test/some/1")
    database.put_properties("test/some/1", {"text": "café, €", "lines": ["1", "2"]})
    database.restart()
    found = database.get_properties("test/some/1", "text", "lines", "absent")
    assert found == {"text": ["café, €"], "lines": ["1", "2"], "absent": []}


def test_a_server_without_a_database_serves_all_its_devices() -> None:
    with echo_server("nodb") as server:
        assert server.trl() == f"tango://127.0.0.1:{server.port}/test/echo/1#dbase=no"
        assert [server.proxy(device).heard for device in DEVICES] == ["not set", "not set"]
    assert not is_listening(server.port)


def test_a_server_without_a_database_gets_properties_from_a_file() -> None:
    with echo_server("file") as server:
        heard = [server.proxy(device).heard for device in DEVICES]
    assert heard == ["good morning, all", "not set"]


def test_a_server_in_a_database_gets_properties_from_there(database: TangoDatabase) -> None:
    with echo_server("db", database) as server:
        assert server.trl() == f"tango://{database.tango_host}/test/echo/1"
        assert server.proxy().heard == "good morning, all"
        database.put_properties("test/echo/1", {"greeting": "good night"})
        server.restart()
        assert server.proxy().heard == "good night"


@pytest.mark.parametrize(
    "end", [TangoDeviceServer.stop, TangoDeviceServer.kill], ids=["stopped", "killed"]
)
def test_a_proxy_finds_a_server_again_that_was(end: Callable[[TangoDeviceServer], None]) -> None:
    with echo_server("nodb") as server:
        proxy = server.proxy()
        end(server)
        with pytest.raises(tango.ConnectionFailed):
            proxy.ping()
        server.start()
        wait_until(partial(answers, proxy), 10, "the proxy's own reconnection")
        assert proxy.heard == "not set"


def test_a_paused_server_leaves_its_clients_waiting() -> None:
    with echo_server("nodb") as server:
        proxy = server.proxy()
        proxy.set_timeout_millis(300)
        proxy.ping()
        server.pause()
        with pytest.raises(tango.DevFailed, match=r"(?i)timed?out"):
            proxy.ping()
        server.resume()
        wait_until(partial(answers, proxy), 10, "an answer after the pause")


def test_a_server_that_ends_at_start_is_reported_with_its_log() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such device class')"]
    server = TangoDeviceServer(command, "Broken", "1", "Broken", ["test/broken/1"])
    with pytest.raises(ServiceFailed, match="no such device class"):
        server.start()


def test_children_never_see_the_facility_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANGO_HOST", "real.telescope:10000")
    with echo_server("nodb") as server:
        environment = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    assert [entry for entry in environment if entry.startswith(b"TANGO_HOST=")] == [
        b"TANGO_HOST=127.0.0.1:1"
    ]


def test_tango_test_sends_an_event_for_each_value_written(tango_test_server: TangoTest) -> None:
    tango_test_server.poll("double_scalar_w", 20, abs_change=0.5)
    proxy = tango_test_server.proxy()
    received: list[float] = []

    def keep(event: tango.EventData) -> None:
        if not event.err:
            received.append(event.attr_value.value)

    subscription = proxy.subscribe_event(
        "double_scalar_w",
        tango.EventType.CHANGE_EVENT,
        keep,
        sub_mode=tango.EventSubMode.SyncRead,
    )
    for value in (1.0, 2.0, 3.0):
        proxy.double_scalar_w = value
        wait_until(partial(received.count, value), 10, f"the event of {value}")
    proxy.unsubscribe_event(subscription)
    assert [value for value in received if value > 0] == [1.0, 2.0, 3.0]


def test_tango_test_comes_back_after_a_crash(tango_test_server: TangoTest) -> None:
    tango_test_server.kill()
    assert not is_listening(tango_test_server.port)
    tango_test_server.start()
    assert tango_test_server.proxy().short_scalar is not None


def test_without_tango_test_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TangoTest, "executable", Path("/nonexistent/TangoTest"))
    with pytest.raises(ServiceUnavailable, match="apt-get install tango-test"):
        TangoTest.check()
