"""The jars of Apache Kafka, resolved by Maven once into a cache outside the repository."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import ServiceUnavailable

KAFKA_VERSION = "4.1.2"
JAVA_NEEDED = 17
MAVEN_TIMEOUT_S = 600
SERVICE = "Apache Kafka"

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>devservices</groupId>
  <artifactId>kafka-runtime</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}
  </dependencies>
</project>
"""

_DEPENDENCY = """
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
    </dependency>"""

BROKER = ("kafka_2.13",)
"""The artifact of Apache Kafka itself."""


def cache_directory() -> Path:
    """Return ``$QUEUECONNECTOR_CACHE``, or ``~/.cache/queueconnector`` where it is not set."""
    named = os.environ.get("QUEUECONNECTOR_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "queueconnector"


def java() -> str:
    """Return the path of a Java that can run Kafka.

    Raises ServiceUnavailable when there is none, or it is too old.
    """
    remedy = f"install Java {JAVA_NEEDED} or newer (Debian: openjdk-17-jre-headless)"
    path = shutil.which("java")
    if path is None:
        raise ServiceUnavailable(SERVICE, "no java on PATH", remedy)
    banner = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', banner)
    if match is None or int(match[1]) < JAVA_NEEDED:
        found = banner.splitlines()[0] if banner else "no answer to -version"
        raise ServiceUnavailable(SERVICE, f"{path} is not Java {JAVA_NEEDED}: {found}", remedy)
    return path


def kafka_jars(version: str = KAFKA_VERSION, artifacts: Sequence[str] = BROKER) -> Path:
    """Return the directory with the jars of Kafka ``version``, fetched where the cache lacks it.

    ``artifacts``: those of the group ``org.apache.kafka`` that are wanted, with what they need.

    Safe when several processes call it at once. Raises ServiceUnavailable when Maven is missing
    or cannot resolve the jars.
    """
    name = "kafka" if artifacts == BROKER else "+".join(artifacts)
    jars = cache_directory() / f"{name}-{version}"
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / f".{jars.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _fetch(version, artifacts, jars)
    return jars


def _fetch(version: str, artifacts: Sequence[str], jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ServiceUnavailable(
            SERVICE,
            f"no mvn on PATH to fetch its jars with, and none are in {jars}",
            "install Maven (Debian: apt-get install maven)",
        )
    with tempfile.TemporaryDirectory(prefix=".kafka-", dir=jars.parent) as work:
        pom = Path(work) / "pom.xml"
        pom.write_text(_pom(version, artifacts))
        fetched = Path(work) / "jars"
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        result = subprocess.run(
            [maven, "-q", "-B", "-f", str(pom), *goal, f"-DoutputDirectory={fetched}"],
            capture_output=True,
            text=True,
            timeout=MAVEN_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0 or not any(fetched.glob(f"{artifacts[0]}-{version}.jar")):
            raise ServiceUnavailable(
                SERVICE,
                f"mvn could not resolve org.apache.kafka:{artifacts[0]}:{version}:\n"
                + (result.stdout + result.stderr)[-2000:],
                "give this machine access to Maven Central (or a mirror in ~/.m2/settings.xml)",
            )
        # The rename is what publishes: a half-filled directory never has the final name.
        fetched.rename(jars)


def _pom(version: str, artifacts: Sequence[str]) -> str:
    wanted = [("org.apache.kafka", artifact, version) for artifact in artifacts]
    # Without a binding of slf4j, Kafka would say nothing at all about why it does not start.
    wanted.append(("org.slf4j", "slf4j-simple", "1.7.36"))
    parts = (_DEPENDENCY.format(group=g, artifact=a, version=v) for g, a, v in wanted)
    return _POM.format(dependencies="".join(parts))
