"""The jars of Apache Kafka, resolved by Maven once into a cache outside the repository."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import ServiceUnavailable

KAFKA_VERSION = "4.1.2"
JAVA_NEEDED = 17
MAVEN_TIMEOUT_S = 600
SERVICE = "Apache Kafka"

# slf4j-simple: without a binding, Kafka would say nothing at all about why it does not start.
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>devservices</groupId>
  <artifactId>kafka-runtime</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


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


def kafka_jars(version: str = KAFKA_VERSION) -> Path:
    """Return the directory with the jars of Kafka ``version``, fetched where the cache lacks it.

    Safe when several processes call it at once. Raises ServiceUnavailable when Maven is missing
    or cannot resolve the jars.
    """
    jars = cache_directory() / f"kafka-{version}"
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / f".kafka-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _fetch(version, jars)
    return jars


def _fetch(version: str, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ServiceUnavailable(
            SERVICE,
            f"no mvn on PATH to fetch its jars with, and none are in {jars}",
            "install Maven (Debian: apt-get install maven)",
        )
    with tempfile.TemporaryDirectory(prefix=".kafka-", dir=jars.parent) as work:
        pom = Path(work) / "pom.xml"
        pom.write_text(_POM.format(version=version))
        fetched = Path(work) / "jars"
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        result = subprocess.run(
            [maven, "-q", "-B", "-f", str(pom), *goal, f"-DoutputDirectory={fetched}"],
            capture_output=True,
            text=True,
            timeout=MAVEN_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0 or not any(fetched.glob(f"kafka_2.13-{version}.jar")):
            raise ServiceUnavailable(
                SERVICE,
                f"mvn could not resolve org.apache.kafka:kafka_2.13:{version}:\n"
                + (result.stdout + result.stderr)[-2000:],
                "give this machine access to Maven Central (or a mirror in ~/.m2/settings.xml)",
            )
        # The rename is what publishes: a half-filled directory never has the final name.
        fetched.rename(jars)
