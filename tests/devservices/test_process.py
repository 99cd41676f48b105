"""Child processes end with their group, with their starter, and never without a reason given."""

import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devservices import ServiceFailed
from devservices.process import (
    HOST,
    ManagedProcess,
    free_port,
    is_listening,
    temporary_directory,
    wait_until,
)

SHELL_WITH_CHILD = ["sh", "-c", "sleep 600 & echo child $!; wait"]

# No shell: one that waits for the program it has just forked is not reported as paused.
TICKING = "import time\nwhile True: print('tick'); time.sleep(0.01)"


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(tmp_path: Path, *command: str) -> ManagedProcess:
    return ManagedProcess("example", command, log=tmp_path / "example.log")


def start_with_child(tmp_path: Path) -> tuple[ManagedProcess, int]:
    process = start(tmp_path, *SHELL_WITH_CHILD)
    process.wait_until(lambda: "child" in process.output(), 5, "the child")
    return process, int(process.output().split()[1])


def test_free_ports_can_be_bound_and_are_never_given_twice() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    with socket.create_server((HOST, ports[0])):
        assert is_listening(ports[0])
    assert not is_listening(ports[0])


def test_waiting_in_vain_says_what_for() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s in vain for a miracle"):
        wait_until(lambda: False, 0.05, "a miracle")


def test_waiting_returns_what_the_condition_returned() -> None:
    answers: Iterator[object] = iter([None, [], "found"])
    assert wait_until(lambda: next(answers), 5, "the third answer") == "found"


def test_a_program_that_dies_at_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    process = start(tmp_path, "sh", "-c", "echo no such configuration >&2; exit 3")
    with pytest.raises(ServiceFailed, match="no such configuration") as error:
        process.wait_until(lambda: False, 5, "its port")
    assert "example: ended with exit code 3 before its port" in str(error.value)
    process.stop()


def test_stopping_ends_the_children_of_the_program_too(tmp_path: Path) -> None:
    process, child = start_with_child(tmp_path)
    process.stop()
    process.stop()
    assert process.exit_code == -signal.SIGTERM
    wait_until(lambda: not is_alive(child), 5, "the end of the child")


def test_a_program_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    process.wait_until(lambda: "deaf" in process.output(), 5, "the trap")
    process.stop(grace_s=0.2)
    assert process.exit_code == -signal.SIGKILL


def test_a_paused_program_stands_still_and_can_still_be_stopped(tmp_path: Path) -> None:
    process = start(tmp_path, sys.executable, "-u", "-c", TICKING)
    process.wait_until(process.output, 5, "the first tick")
    process.pause()
    state = Path(f"/proc/{process.pid}/stat")
    assert state.read_text().rpartition(")")[2].split()[0] == "T"
    ticks = process.output()
    assert process.is_running
    process.resume()
    process.wait_until(lambda: process.output() > ticks, 5, "one more tick")
    process.pause()
    process.stop()
    assert process.exit_code == -signal.SIGTERM


def test_a_program_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[ManagedProcess] = []
    thread = threading.Thread(target=lambda: started.append(start(tmp_path, "sleep", "600")))
    thread.start()
    thread.join()
    assert started[0].is_running
    started[0].stop()


STARTER = """
    import sys
    from pathlib import Path
    from devservices.process import ManagedProcess, temporary_directory
    directory = temporary_directory("orphan")
    process = ManagedProcess("orphan", {command!r}, log=directory / "log")
    process.wait_until(lambda: "child" in process.output(), 5, "the child")
    print(directory, process.pid, process.output().split()[1], flush=True)
    {ending}
"""


def run_starter(ending: str) -> tuple[subprocess.Popen[str], Path, int, int]:
    script = textwrap.dedent(STARTER).format(command=SHELL_WITH_CHILD, ending=ending)
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        directory, pid, child = starter.stdout.readline().split()
    return starter, Path(directory), int(pid), int(child)


def test_nothing_is_left_after_a_starter_that_ends_without_stopping() -> None:
    starter, directory, pid, child = run_starter("sys.exit(0)")
    starter.wait(10)
    assert not is_alive(pid)
    assert not is_alive(child)
    assert not directory.exists()


def test_nothing_is_left_after_a_starter_that_is_killed() -> None:
    starter, directory, pid, child = run_starter("import time; time.sleep(600)")
    assert is_alive(pid)
    starter.kill()
    starter.wait(10)
    wait_until(lambda: not is_alive(pid) and not is_alive(child), 10, "the end of the orphans")
    wait_until(lambda: not directory.exists(), 10, "the removal of the directory")


def test_temporary_directories_are_distinct() -> None:
    assert temporary_directory("a") != temporary_directory("a")
