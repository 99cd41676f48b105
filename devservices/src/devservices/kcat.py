"""The foreign Kafka client ``kcat``, to prove that others can read what we write, and back."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .errors import ServiceFailed, ServiceUnavailable


def kcat() -> str:
    """Return the path of kcat; raises ServiceUnavailable when it is not installed."""
    path = shutil.which("kcat")
    if path is None:
        raise ServiceUnavailable("kcat", "no kcat on PATH", "apt-get install kcat (Debian)")
    return path


def kcat_version() -> str:
    """Return the version of kcat; raises ServiceUnavailable when it is not installed."""
    lines = _run([kcat(), "-V"], 10.0).decode().splitlines()
    words = next(line for line in lines if line.startswith("Version ")).split()
    return words[1]


def produce(
    bootstrap: str,
    topic: str,
    *messages: bytes,
    key: bytes | None = None,
    partition: int = 0,
    timeout_s: float = 20.0,
) -> None:
    """Write each message to a partition of ``topic`` and wait until the broker has it.

    The messages are passed on octet by octet, so they may hold line ends and zeros.
    Raises ValueError for an empty message, which kcat would leave out without a sign, and
    ServiceFailed when kcat fails or is not done in ``timeout_s`` seconds.
    """
    if b"" in messages:
        raise ValueError("kcat cannot send an empty message: send at least one octet")
    command = [kcat(), "-P", "-b", bootstrap, "-t", topic, "-p", str(partition)]
    if key is not None:
        command += ["-k", key.decode()]
    with tempfile.TemporaryDirectory(prefix="kcat-") as directory:
        # kcat sends each file as one message, where on standard input each line would be one.
        files = [Path(directory) / str(number) for number in range(len(messages))]
        for file, message in zip(files, messages, strict=True):
            file.write_bytes(message)
        _run([*command, *map(str, files)], timeout_s)


def consume(
    bootstrap: str,
    topic: str,
    count: int,
    *,
    offset: int = 0,
    partition: int = 0,
    timeout_s: float = 20.0,
) -> list[bytes]:
    """Return the values of ``count`` messages of a partition, from ``offset`` on, in order.

    Raises ServiceFailed, saying what came, when there are fewer after ``timeout_s`` seconds.
    """
    # "%S" writes the length before each value, so that any octets can be told apart.
    command = [kcat(), "-C", "-q", "-u", "-b", bootstrap, "-t", topic, "-p", str(partition)]
    command += ["-o", str(offset), "-c", str(count), "-f", "%S %s"]
    values = _split(_run(command, timeout_s))
    if len(values) != count:
        raise ServiceFailed(f"kcat ended with {len(values)} of {count} messages of {topic!r}")
    return values


def _split(output: bytes) -> list[bytes]:
    values = []
    while output:
        length, _, rest = output.partition(b" ")
        size = max(int(length), 0)  # a message without a value has length -1
        values.append(rest[:size])
        output = rest[size:]
    return values


def _run(command: Sequence[str], timeout_s: float) -> bytes:
    started = time.monotonic()
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceFailed(
            f"{' '.join(command)}: not done in {timeout_s:g} s; so far {error.stdout!r}"
        ) from None
    if result.returncode != 0:
        took = time.monotonic() - started
        raise ServiceFailed(
            f"{' '.join(command)}: exit code {result.returncode} after {took:.1f} s: "
            f"{result.stderr.decode(errors='replace')}"
        )
    return result.stdout
