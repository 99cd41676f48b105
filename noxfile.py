"""Development sessions; `make help` lists short names for them.

All sessions run in the one environment `.venv` that `make setup` creates. Clean environments are
made only where they are the point: by the tests in `tests/packaging`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "tools"))
from workspace import ROOT, members, products, pyproject

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]

RUNS_WHAT_IT_READS = "S102,S301,S302,S307,S506,S701"
"""Rules of ruff about exec, pickle, marshal, eval, YAML and templates: nothing is excused."""

SLOW = (
    *(f"tests/chaos/test_{name}.py" for name in ("brokers", "liveness", "slow_sink", "soak")),
    *(f"tests/devservices/test_kafka_{name}.py" for name in ("cluster", "secure")),
    *(f"tests/conformance/test_{name}.py" for name in ("broken", "kafka", "sdp", "tango")),
    "tests/device/test_soak.py",
    "tests/devservices/test_pytest_plugin.py",
    *(f"tests/kafka/test_{name}.py" for name in ("outage", "security")),
    "tests/demo",
    "tests/packaging",
    *(f"tests/system/test_{name}.py" for name in ("broker_outage", "traces")),
    *(f"tests/docs/test_{name}.py" for name in ("command_line", "container", "kit")),
    *(f"tests/docs/test_{name}.py" for name in ("readers", "site", "tutorial")),
    "tests/web/test_browser.py",
)
"""Tests that take minutes together; in CI they have a step of their own."""

SLOW_ALONE = ("tests/bench/test_tango_goals.py",)
"""Of these nothing may run beside: they compare speeds."""

OVER_BOTH_CLIENTS = ("tests/kafka", "tests/conformance/test_kafka.py")
"""Tests that run once more over the other client of Kafka, in the slow step."""

BESIDE = ("--dist=loadfile", "--no-loadscope-reorder")
"""How tests run beside each other: those of one file in one process, which shares services."""

SHIPPED = [str(product / "src") for product in products()]

PYTHON_VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def tool(name: str) -> str:
    """Path of a command in the environment that runs nox, activated or not."""
    return str(Path(sys.executable).parent / name)


def build(session: nox.Session, folder: Path, *formats: str) -> None:
    """Build core and the plugins into `folder`, with the build backend of the environment."""
    command = (tool("python"), "-m", "build", "--no-isolation", *formats, "--outdir", str(folder))
    for product in products():
        session.run(*command, str(product), silent=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, docstrings, import rules, sizes, dependencies, public names and news fragments."""
    session.run(tool("ruff"), "check")
    session.run(tool("ruff"), "format", "--check")
    session.run(tool("lint-imports"), "--no-logo")
    session.run(tool("python"), "tools/check_sizes.py")
    for member in members():
        with session.chdir(member):
            session.run(tool("deptry"), "src")
    session.run(tool("ruff"), "check", "--ignore-noqa", f"--select={RUNS_WHAT_IT_READS}", *SHIPPED)
    session.run(tool("python"), "tools/audit.py")
    session.run(tool("python"), "tools/check_api.py", *session.posargs)
    session.run(tool("towncrier"), "build", "--draft", "--version", "next", silent=True)


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of the pinned versions; exit code 3 where nobody could be asked."""
    session.run(tool("python"), "tools/audit.py", "--vulnerabilities")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types of sources and tests, as every supported Python sees them."""
    sources = [str(member.relative_to(ROOT) / "src") for member in members()]
    examples = [str(folder.relative_to(ROOT)) for folder in ROOT.glob("examples/*/tests")]
    builds = [str(file.relative_to(ROOT)) for file in ROOT.glob("*/hatch_build.py")]
    others = ["tests", *examples, "tools", "bench", "deploy", "noxfile.py", *builds]
    for version in PYTHON_VERSIONS:
        session.run(tool("mypy"), "--python-version", version, *sources, *others)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the slow ones; no test waits for the download of a service.

    Those that compare speeds run alone; of the others, which mostly wait, two run at a time.
    """
    session.run(tool("python"), "-m", "devservices.provision")
    if session.posargs:
        session.run(tool("pytest"), *session.posargs)
        return
    session.run(tool("pytest"), "tests/bench", *(f"--ignore={path}" for path in SLOW_ALONE))
    elsewhere = [f"--ignore={path}" for path in ("tests/bench", *SLOW)]
    session.run(tool("pytest"), *BESIDE, "--numprocesses=2", *elsewhere, "--durations=25")


@nox.session
def isolation(session: nox.Session) -> None:
    """The built wheels, installed alone into clean environments outside the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        build(session, Path(folder), "--wheel")
        wheels = {"QUEUECONNECTOR_WHEELS": folder}
        session.run(tool("pytest"), "tests/packaging", *session.posargs, env=wheels)


@nox.session
def docs(session: nox.Session) -> None:
    """The site in `build/site`, without a warning; and what the documentation shows, executed."""
    strict = ("--nitpicky", "--fail-on-warning", "--keep-going")
    session.run(tool("sphinx-build"), *strict, "--conf-dir", "docs", ".", "build/site")
    session.run(tool("pytest"), "tests/docs", "tests/matrix", *session.posargs)


@nox.session
def reference(session: nox.Session) -> None:
    """The JSON schema, and the pages that are made from the code, written into the docs."""
    for name in ("schema", "components", "device", "api"):
        session.run(tool("python"), f"tools/write_{name}.py")
    session.run(tool("python"), "-m", "tests.conformance")


@nox.session
def model(session: nox.Session) -> None:
    """Random sequences on the real device, for minutes; the short form is one of the tests."""
    number = {"QUEUECONNECTOR_SEQUENCES": os.environ.get("QUEUECONNECTOR_SEQUENCES", "200")}
    for_long = ("-o", "faulthandler_timeout=0")
    session.run(
        tool("pytest"), "tests/device/test_model.py", *for_long, *session.posargs, env=number
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile messages and configurations, for minutes; the short form is one of the tests."""
    session.run(tool("python"), "-m", "tests.fuzz", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Those of the tests that take minutes: outages, soaks, wheels, the kit's proof, the site."""
    session.run(tool("python"), "-m", "devservices.provision")
    session.run(tool("pytest"), *SLOW_ALONE, *session.posargs)
    session.run(tool("pytest"), *BESIDE, "--numprocesses=2", *SLOW, *session.posargs)
    if not session.posargs:
        other = "--kafka-client=confluent"
        session.run(tool("pytest"), *BESIDE, "--numprocesses=2", other, *OVER_BOTH_CLIENTS)


@nox.session
def chaos(session: nox.Session) -> None:
    """Kills, outages, slow sinks and a soak, for two hours; short forms are among the tests."""
    session.run(tool("python"), "-m", "devservices.provision")
    for_long = ("-o", "faulthandler_timeout=0", "--chaos")
    session.run(tool("pytest"), "tests/chaos", *for_long, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Side-by-side benchmarks."""
    session.run(tool("python"), "-m", "devservices.provision")
    session.run(tool("python"), "-m", "bench", *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """Source archives and wheels in `dist/`, each wheel proven alone in a clean environment."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    build(session, ROOT / "dist")
    wheels = {"QUEUECONNECTOR_WHEELS": str(ROOT / "dist")}
    session.run(tool("pytest"), "tests/packaging", *session.posargs, env=wheels)


@nox.session
def constraints(session: nox.Session) -> None:
    """The newest versions that resolve for all supported Pythons and platforms, no addresses."""
    session.run(
        tool("uv"),
        "pip",
        "compile",
        "--universal",
        f"--python-version={PYTHON_VERSIONS[0]}",
        "--upgrade",
        "--all-extras",
        "--group=pyproject.toml:dev",
        *(str(member / "pyproject.toml") for member in members()),
        *(f"--no-emit-package={pyproject(member)['project']['name']}" for member in members()),
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--output-file=constraints.txt",
        silent=True,
    )
