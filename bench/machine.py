"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

__all__ = ("described", "load")

CLIENTS: Final = (
    "queueconnector-core",
    "aiokafka",
    "confluent-kafka",
    "pytango",
    "numpy",
    "msgspec",
    "orjson",
    "uvloop",
)


def described() -> dict[str, str]:
    """The machine, Python and the client libraries, by a name for people."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "libraries": ", ".join(filter(None, map(_version, CLIENTS))),
        "load before": load(),
    }


def load() -> str:
    """How many processes wanted to run in the last 1, 5 and 15 minutes."""
    return ", ".join(f"{average:.1f}" for average in os.getloadavg())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _version(distribution: str) -> str | None:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return None
