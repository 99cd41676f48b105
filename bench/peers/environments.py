"""Where the peers live: below `.bench/`, made on first use, with the versions that stand here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.copying import Contestant, Task, program
from devservices import ServiceUnavailable
from devservices.kafka import JAVA_OPTIONS
from devservices.kafka_jars import java, kafka_jars
from devservices.process import free_port

__all__ = ("Missing", "benthos", "mirror_maker", "python_peer")

HERE: Final = Path(__file__).parent
HOME: Final = HERE.parent.parent / ".bench"
INSTALL_TIMEOUT_S: Final = 900
CONVERTER: Final = "org.apache.kafka.connect.converters.ByteArrayConverter"


class Missing(Exception):  # noqa: N818 - no error of this program
    """A peer cannot be had here; says why."""


def python_peer(name: str, environment: str, *arguments: str) -> Contestant:
    """A program of this folder in an environment of its own. Raises `Missing`."""
    python = _environment(environment)
    return program(name, str(python), str(HERE / f"{environment}_copy.py"), *arguments)


def _environment(name: str) -> Path:
    """The Python of an environment with exactly the versions of `<name>.txt`."""
    pins, home = HERE / f"{name}.txt", HOME / name
    done = home / "installed.txt"
    python = home / "bin" / "python"
    if not done.exists() or done.read_text() != pins.read_text():
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(pins)])
        shutil.copy(pins, done)
    return python


def _run(command: Sequence[str], directory: Path | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise Missing(error.stderr.strip().splitlines()[-1]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from None


def benthos(name: str) -> Contestant:
    """Benthos, built of its modules by Go. Raises `Missing`."""
    home = HOME / "benthos"
    built = home / "benthos"
    if not built.exists():
        shutil.copytree(HERE / "benthos", home, dirs_exist_ok=True)
        _run(["go", "mod", "tidy"], home)
        _run(["go", "build", "-o", str(built), "."], home)

    def command(task: Task) -> Sequence[str]:
        brokers = [task.bootstrap]
        read = {"topics": [task.source], "consumer_group": f"group-of-{task.source}"}
        batching = {"count": 500, "period": "5ms"}
        written = {"topic": task.sink, "max_in_flight": 1, "batching": batching}
        document = {
            "http": {"enabled": False},
            "logger": {"level": "WARN"},
            "input": {"kafka_franz": {"seed_brokers": brokers, **read}},
            "output": {"kafka_franz": {"seed_brokers": brokers, **written}},
        }
        path = task.directory / "benthos.json"
        path.write_text(json.dumps(document))  # JSON is YAML
        return [str(built), "-c", str(path)]

    return Contestant(name, command)


def mirror_maker(name: str) -> Contestant:
    """MirrorMaker 2 in a standalone worker of Kafka Connect. Raises `Missing`."""
    jars = _connect_jars()

    def command(task: Task) -> Sequence[str]:
        worker = _properties(
            task.directory / "worker.properties",
            {
                "bootstrap.servers": task.bootstrap,
                "listeners": f"http://127.0.0.1:{free_port()}",
                "offset.storage.file.filename": str(task.directory / "offsets"),
                "key.converter": CONVERTER,
                "value.converter": CONVERTER,
            },
        )
        connector = _properties(
            task.directory / "mirror.properties", _mirror(task.bootstrap, task.source, task.sink)
        )
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        return [java(), "-Xmx256m", *JAVA_OPTIONS, "-cp", f"{jars}/*", main, worker, connector]

    return Contestant(name, command)


def _mirror(bootstrap: str, source: str, sink: str) -> dict[str, str]:
    return {
        "name": "mirror",
        "connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector",
        "tasks.max": "1",
        "source.cluster.alias": "here",
        "target.cluster.alias": "there",
        "source.cluster.bootstrap.servers": bootstrap,
        "target.cluster.bootstrap.servers": bootstrap,
        "topics": source,
        "replication.factor": "1",
        "offset-syncs.topic.replication.factor": "1",
        "sync.topic.configs.enabled": "false",
        "sync.topic.acls.enabled": "false",
        # It would name the topic here.source-1.
        "transforms": "route",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": f".*{source}",
        "transforms.route.replacement": sink,
    }


def _connect_jars() -> Path:
    try:
        return kafka_jars(artifacts=("connect-runtime", "connect-mirror"))
    except ServiceUnavailable as error:
        raise Missing(str(error)) from None


def _properties(path: Path, values: Mapping[str, str]) -> str:
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return str(path)
