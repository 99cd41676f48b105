"""Get the services this package starts: ``python -m devservices.provision [--require-all]``.

Installs what is missing where it can (Debian packages as root, Kafka's jars with Maven), then
prints one line for each service. A fresh machine needs nothing else before the tests.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from . import debian_tango, mosquitto
from .chromium import Chromium
from .embedded import EmbeddedBroker
from .errors import ServiceUnavailable
from .etcd import EtcdServer
from .kafka import KafkaBroker
from .kcat import kcat_version
from .mosquitto import MosquittoServer
from .tango import TANGO_TEST, TangoDatabase, TangoTest, tango_admin_version

APT_TIMEOUT_S = 900

# Debian package -> whether the machine lacks what it brings.
PACKAGES: Mapping[str, Callable[[], bool]] = {
    "openjdk-17-jre-headless": lambda: shutil.which("java") is None,
    "maven": lambda: shutil.which("mvn") is None,
    "kcat": lambda: shutil.which("kcat") is None,
    "etcd-server": lambda: shutil.which("etcd") is None,
    "etcd-client": lambda: shutil.which("etcdctl") is None,
    "mosquitto": partial(mosquitto.is_missing, "mosquitto"),
    "mosquitto-clients": partial(mosquitto.is_missing, "mosquitto_pub"),
    "libtango-tools": lambda: shutil.which("tango_admin") is None,
    "tango-test": lambda: not TANGO_TEST.is_file(),
    "chromium": lambda: shutil.which("chromium") is None,
    "chromium-driver": lambda: shutil.which("chromedriver") is None,
    "fonts-dejavu-core": lambda: not Path("/usr/share/fonts/truetype/dejavu").is_dir(),
}


SERVICES: Mapping[str, Callable[[], str]] = {
    "Apache Kafka": KafkaBroker.check,
    "embedded broker": EmbeddedBroker.check,
    "etcd": EtcdServer.check,
    "Mosquitto": MosquittoServer.check,
    "Tango database": TangoDatabase.check,
    "TangoTest": TangoTest.check,
    "tango_admin": lambda: f"tango_admin {tango_admin_version()}",
    "kcat": lambda: f"kcat {kcat_version()}",
    "Chromium": Chromium.check,
}


DEBIAN_TANGO_PACKAGES: Mapping[str, Callable[[], bool]] = {
    package: partial(debian_tango.is_missing, package) for package in debian_tango.PACKAGES
}


def can_install() -> bool:
    """Return whether this is a Debian-like machine and we are root on it."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return False
    family = {system["ID"], *system.get("ID_LIKE", "").split()}
    return "debian" in family and os.geteuid() == 0


def install_missing(packages: Mapping[str, Callable[[], bool]] = PACKAGES) -> None:
    """Install those of the Debian packages that are missing.

    A failure is printed and is no error here: what could not be installed shows as not available
    in the report that follows.
    """
    missing = [package for package, is_missing in packages.items() if is_missing()]
    if not missing:
        return
    if not can_install():
        print(f"not installed, as this is not Debian with root rights: {' '.join(missing)}")
        return
    print(f"installing {' '.join(missing)}", flush=True)
    _apt_get("update")
    # One by one: a package that cannot be had must not keep the others away.
    for package in missing:
        _apt_get("install", "--yes", "--no-install-recommends", package)


def _apt_get(*arguments: str) -> None:
    result = subprocess.run(
        ["apt-get", "-q", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=APT_TIMEOUT_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        check=False,
    )
    if result.returncode != 0:
        print(f"apt-get {' '.join(arguments)} failed:\n{result.stdout[-2000:]}")


def report(services: Mapping[str, Callable[[], str]] = SERVICES) -> list[str]:
    """Print one line for each service; return the names of those that are not available."""
    missing = []
    for service, version in services.items():
        try:
            print(f"{service}: available ({version()})")
        except ServiceUnavailable as error:
            print(f"{service}: not available ({error.reason}; to get it: {error.remedy})")
            missing.append(service)
    return missing


def main() -> int:
    """Provide, report, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m devservices.provision", description=__doc__)
    parser.add_argument(
        "--require-all", action="store_true", help="exit with 1 when a service is not available"
    )
    parser.add_argument(
        "--debian-tango-db",
        action="store_true",
        help="also Debian's Tango database with MariaDB (for pytest --tango-database=debian)",
    )
    arguments = parser.parse_args()
    packages, services = dict(PACKAGES), dict(SERVICES)
    if arguments.debian_tango_db:
        packages |= DEBIAN_TANGO_PACKAGES
        services["Debian's Tango database"] = debian_tango.DebianTangoDatabase.check
    install_missing(packages)
    missing = report(services)
    return 1 if missing and arguments.require_all else 0


if __name__ == "__main__":
    sys.exit(main())
