"""The device server as it is, with one command more: `Inventory` tells what its process holds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
from pathlib import Path

from tango.server import command

from queueconnector_tango import device, server
from queueconnector_tango._proxy import Subscription


def resident_kb() -> int:
    """The memory of this process that is in use, in kB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def open_files() -> list[str]:
    """What stands behind each open file of this process, such as `socket:[4711]`."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that was used to list them
            names.append(str(link.readlink()))
    return names


class SDPQueueConnector(device.SDPQueueConnector):
    """The device under test; the name is that of the class, so that Tango sees no difference."""

    @command(dtype_out=str)
    def Inventory(self) -> str:  # noqa: N802
        """Tasks, threads, attributes and subscriptions, as JSON."""
        gc.collect()
        tasks = self._wait_for(self._list_tasks())
        threads = [thread.name for thread in threading.enumerate()]
        subscriptions = [
            found.name
            for found in gc.get_objects()
            if type(found) is Subscription and found._identity is not None
        ]
        names = self.get_device_attr().get_attribute_list()
        opened = open_files()
        files = [name for name in opened if not name.startswith("socket:")]
        return json.dumps(
            {
                "tasks": tasks,
                "threads": threads,
                "all_threads": len(list(Path("/proc/self/task").iterdir())),
                "attributes": sorted(attribute.get_name() for attribute in names),
                "kept": sorted(self._session.attributes.names),
                "subscriptions": subscriptions,
                "files": len(files),
                "sockets": len(opened) - len(files),
                "resident_kb": resident_kb(),
            }
        )

    async def _list_tasks(self) -> list[str]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return sorted(getattr(task.get_coro(), "__qualname__", "?") for task in tasks)


if __name__ == "__main__":
    device.SDPQueueConnector = SDPQueueConnector  # type: ignore[misc]
    server.main()
