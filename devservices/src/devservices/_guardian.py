"""The guardian: a process of its own that cleans up when the process that starts services ends.

Run as ``python -I _guardian.py DIRECTORY``. It reads lines ``+PGID`` and ``-PGID`` from
standard input and, at its end (which the kernel brings about however the parent died, SIGKILL
included), ends each process group still listed and removes DIRECTORY.

PR_SET_PDEATHSIG would not do: it fires when the *thread* that forked ends, and it does not reach
grandchildren.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Set

GRACE_S = 3.0


def listed_groups(lines: Iterable[str]) -> set[int]:
    """Return the process groups that were added and not removed, once ``lines`` ends."""
    groups: set[int] = set()
    for line in lines:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    return groups


def signal_group(group: int, number: signal.Signals) -> bool:
    """Send a signal to a process group; False when no process is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def end_groups(groups: Set[int], grace_s: float = GRACE_S) -> None:
    """Terminate each process group, and kill what is left of it after ``grace_s`` seconds."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
        signal_group(group, signal.SIGCONT)
    deadline = time.monotonic() + grace_s
    alive = set(groups)
    while alive and time.monotonic() < deadline:
        alive = {group for group in alive if group_exists(group)}
        # Nothing tells that a group is empty whose members are no children of ours.
        time.sleep(0.02)
    for group in alive:
        signal_group(group, signal.SIGKILL)


def group_exists(group: int) -> bool:
    """Return whether any process, zombies included, is in the group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Serve until standard input ends, then clean up."""
    directory = sys.argv[1]
    end_groups(listed_groups(sys.stdin))
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
