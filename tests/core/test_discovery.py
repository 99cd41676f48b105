"""Plugins are found and loaded apart from each other, whatever one of them does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.discovery import DiscoveryReport, Plugin, discover

MODULE = """
import attrs
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.hookspecs import hookimpl

@attrs.frozen
class Descriptor(SourceDescriptor):
    pass

def made(name, *aliases):
    return ComponentType(
        name, ComponentKind.SOURCE, lambda d, c: object(), Descriptor, aliases=aliases
    )
"""
HOOK = MODULE + "\n@hookimpl\ndef queueconnector_components():\n    "
WRITTEN_FOR = """
from queueconnector_core.hookspecs import hookimpl

@hookimpl
def queueconnector_api_version():
    return {version}
"""
GOOD = HOOK + "return [made({name!r})]\n"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one plugin module on the path, as an installer would."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def put(distribution: str, source: str, entry_points: str = "", version: str = "1.2") -> None:
        module = "plugin_" + distribution.replace("-", "_").lower()
        (site / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = entry_points or f"it = {module}"
        (info / "entry_points.txt").write_text(f"[queueconnector]\n{lines}\n")

    return put


def plugin_of(report: DiscoveryReport, distribution: str) -> Plugin:
    (found,) = [plugin for plugin in report.plugins if plugin.distribution == distribution]
    return found


def names(plugin: Plugin) -> list[str]:
    return [component.name for component in plugin.types]


def test_an_installed_plugin_is_loaded_beside_those_of_the_project(install: Install) -> None:
    install("line-files", GOOD.format(name="LineFileSource"))
    report = discover()
    found = plugin_of(report, "line-files")
    assert (found.version, found.entry_point, found.error) == ("1.2", "it", None)
    assert names(found) == ["LineFileSource"]
    assert report.registry.lookup(ComponentKind.SOURCE, "LineFileSource") is found.types[0]
    assert report.registry.lookup(ComponentKind.PIPE, "DefaultPipe").name == "DefaultPipe"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise OSError('no licence')", "OSError: no licence"),
        ("raise SystemExit('goodbye')", "SystemExit: goodbye"),
        ("def broken(:", "SyntaxError"),
        ("", "it does not implement the hook queueconnector_components"),
        (
            MODULE + "@hookimpl\ndef queueconnector_component():\n    return []",
            "unknown hook 'queueconnector_component'",
        ),
        (
            HOOK + "return 1 / 0",
            "ZeroDivisionError: division by zero",
        ),
        (
            HOOK + "yield made('ASource')\n    1/0",
            "ZeroDivisionError: division by zero",
        ),
        (
            HOOK + "return ['OneSource']",
            "the hook gave 'OneSource', not a ComponentType",
        ),
        (
            HOOK + "return 5",
            "'int' object is not iterable",
        ),
        (
            HOOK + "return None",
            "or that returns nothing",
        ),
        (
            MODULE + "@hookimpl\ndef queueconnector_components(registry):\n    return []",
            "Argument(s) {'registry'} are declared in the hookimpl but can not be found",
        ),
        (
            HOOK + "return [made('badname')]",
            "type name 'badname' must be CamelCase",
        ),
        (
            WRITTEN_FOR.format(version=2) + HOOK + "return 1 / 0",
            "for version 2 of the plugin API; found version 1: install a newer queueconnector-core",
        ),
        (
            WRITTEN_FOR.format(version=0) + HOOK + "return 1 / 0",
            "for version 0 of the plugin API; found version 1: install a newer release of the",
        ),
        (WRITTEN_FOR.format(version="'1'") + HOOK + "return 1 / 0", "a whole number"),
        (WRITTEN_FOR.format(version=1) + GOOD.format(name="DefaultSource"), None),
        (GOOD.format(name="DefaultSource") + "    made('A')", None),
    ],
    ids=[
        "import", "raise", "exit", "syntax", "no hook", "misspelt hook", "raising hook",
        "raising late", "no type", "no iterable", "None", "wrong arguments", "bad name",
        "newer API", "older API", "no number", "this API", "fine",
    ],
)  # fmt: skip
def test_a_broken_plugin_is_listed_with_its_reason_and_disturbs_nothing(
    install: Install, source: str, reason: str | None
) -> None:
    install("aa-first", GOOD.format(name="FirstSource"))
    install("bb-broken", source, version="0.7")
    install("cc-last", GOOD.format(name="LastSource"))
    report = discover()
    assert {"FirstSource", "LastSource"} <= set(report.registry.names(ComponentKind.SOURCE))
    found = plugin_of(report, "bb-broken")
    assert found.version == "0.7"
    if reason is None:
        assert found.error is None
        return
    assert reason in (found.error or "")
    assert found in report.broken
    assert (found.types, report.registry.broken["bb-broken"]) == ((), found.error)


@pytest.mark.parametrize("thief", ["a-thief", "queueconnector-a-thief", "Queueconnector_AAA"])
def test_a_third_party_cannot_take_over_a_name(install: Install, thief: str) -> None:
    install(thief, GOOD.format(name="InMemorySource"))
    report = discover()
    (found,) = report.broken
    assert found.error is not None
    assert "source 'InMemorySource' is defined twice, by queueconnector-memory and" in found.error
    owner = report.registry.lookup(ComponentKind.SOURCE, "InMemorySource")
    assert owner in plugin_of(report, "queueconnector-memory").types


def test_a_plugin_that_takes_a_name_is_broken_as_a_whole(install: Install) -> None:
    source = MODULE + (
        "@attrs.frozen\nclass Other(SourceDescriptor):\n    pass\n"
        "@hookimpl\ndef queueconnector_components():\n"
        "    yield made('FineSource')\n"
        "    yield ComponentType('InMemorySource', ComponentKind.SOURCE, None, Other)\n"
    )
    install("greedy", source)
    report = discover()
    assert plugin_of(report, "greedy").error is not None
    assert "FineSource" not in report.registry.names(ComponentKind.SOURCE)


def test_of_two_third_parties_the_first_by_name_keeps_a_type(install: Install) -> None:
    install("bb", GOOD.format(name="SameSource"))
    install("aa", GOOD.format(name="SameSource"))
    report = discover()
    assert plugin_of(report, "aa").error is None
    assert "is defined twice, by aa and bb" in (plugin_of(report, "bb").error or "")


def test_two_distributions_may_use_one_entry_point_name(install: Install) -> None:
    install("aa", GOOD.format(name="OneSource"), "same = plugin_aa")
    install("bb", GOOD.format(name="OtherSource"), "same = plugin_bb")
    report = discover()
    assert names(plugin_of(report, "aa")) == ["OneSource"]
    assert names(plugin_of(report, "bb")) == ["OtherSource"]


def test_one_module_under_two_entry_points_is_told_as_defined_twice(install: Install) -> None:
    install("aa", GOOD.format(name="OneSource"), "x = plugin_aa\ny = plugin_aa")
    report = discover()
    first, second = [plugin for plugin in report.plugins if plugin.distribution == "aa"]
    assert (first.entry_point, first.error) == ("x", None)
    assert second.error == "source 'OneSource' is defined twice, by aa"


def test_the_order_is_ours_first_then_by_name(install: Install) -> None:
    for name in ("zz", "aa", "mm"):
        install(name, GOOD.format(name=f"{name.title()}Source"))
    order = [plugin.distribution for plugin in discover().plugins]
    assert order[0] == "queueconnector-core"
    ours = [name for name in order if name in {"queueconnector-kafka", "queueconnector-memory"}]
    assert ours == ["queueconnector-kafka", "queueconnector-memory"]
    assert [name for name in order if len(name) == 2] == ["aa", "mm", "zz"]
    assert order.index("aa") > order.index("queueconnector-memory")
    assert order == [plugin.distribution for plugin in discover().plugins]


@pytest.mark.parametrize("left", ["entry points alone", "nonsense", "no entry points"])
def test_an_installation_that_was_cut_short_disturbs_nothing(
    install: Install, tmp_path: Path, left: str
) -> None:
    install("fine", GOOD.format(name="FineSource"))
    install("half", "")
    info = tmp_path / "site" / "half-1.2.dist-info"
    if left == "entry points alone":
        (info / "METADATA").unlink()
    elif left == "nonsense":
        (info / "entry_points.txt").write_text("[queueconnector]\nnonsense\n")
    else:
        (info / "entry_points.txt").unlink()
    report = discover()
    assert "FineSource" in report.registry.names(ComponentKind.SOURCE)
    broken = [(plugin.distribution, plugin.version) for plugin in report.broken]
    assert broken == ([("unknown", "?")] if left == "entry points alone" else [])


def test_the_first_of_two_copies_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("twice", GOOD.format(name="TwiceSource"))
    other = tmp_path / "other" / "twice-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: Twice\nVersion: 9.9\n")
    (other / "entry_points.txt").write_text("[queueconnector]\nit = plugin_twice\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "other")])
    assert plugin_of(discover(), "twice").version == "1.2"


def test_discovery_imports_no_transport() -> None:
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tango", "aiokafka", "confluent_kafka"}:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
from queueconnector_core.discovery import discover
report = discover()
assert not [p for p in report.broken if p.distribution.startswith("queueconnector-")], report.broken
print(*sorted(p.distribution for p in report.plugins))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"queueconnector-core", "queueconnector-kafka", "queueconnector-tango"} <= set(
        done.stdout.split()
    )
