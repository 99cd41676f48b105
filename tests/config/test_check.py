"""`check` names every fault of a faulty configuration at its place, and none of a good one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.cli.check import check, check_files
from queueconnector_core.cli.checking import Checked, check_text
from queueconnector_core.cli.explaining import example_of_type
from tests.config.faulty import FAULTY, FAULTY_LIVE, Faulty
from tests.docs.pages import ROOT, blocks
from tests.fuzz.corpus import CONFIGURATIONS
from tests.system.test_seed_configurations import GETTING_STARTED, IMAGE
from write_schema import standard_registry

REGISTRY = standard_registry()
MEMORY = '{"exchanges": [{"source": %s, "sink": {"type": "InMemorySink", "key": "k"}}]}'
PAGES = ("README.md", "docs/how-to/dead-letters.md", "docs/how-to/secure.md")


def told(checked: Checked) -> set[tuple[int, str]]:
    """Line and path of every error."""
    return {(found.place.line if found.place else 0, found.path) for found in checked.errors}


def good_configurations() -> dict[str, str]:
    """Those of the examples, the documentation, the seed and the fuzzing, and of `explain`."""
    found = {"image of the seed": IMAGE, "getting started of the seed": GETTING_STARTED}
    for path in sorted((ROOT / "examples" / "configurations").glob("*.json")):
        if not path.name.endswith(".test.json"):
            found[path.name] = path.read_text("utf-8")
    for page in PAGES:
        for number, block in enumerate(blocks(page, "json")):
            if '"exchanges"' in block:
                found[f"{page} {number}"] = block
    for number, text in enumerate(CONFIGURATIONS):
        if b"LineFile" not in text:
            found[f"fuzzing {number}"] = text.decode()
    for component in REGISTRY.walk():
        example = example_of_type(component, REGISTRY)
        if example is not None and "exchanges" in example:
            found[f"example of {component.name}"] = json.dumps(example, indent=2)
    return found


GOOD = good_configurations()


def test_there_are_as_many_as_promised() -> None:
    assert len(FAULTY) + len(FAULTY_LIVE) >= 60
    assert sum(len(faulty.faults) > 1 for faulty in (*FAULTY, *FAULTY_LIVE)) >= 12
    assert len(GOOD) >= 30


@pytest.mark.parametrize("faulty", FAULTY, ids=str)
def test_every_fault_is_told_at_its_place_and_nothing_else(faulty: Faulty) -> None:
    checked = check_text(faulty.text, REGISTRY)

    assert told(checked) == {(fault.line, fault.path) for fault in faulty.faults}
    for fault in faulty.faults:
        messages = [found.message for found in checked.errors if found.path == fault.path]
        assert any(fault.words in message for message in messages), messages


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_told_of_a_good_configuration(name: str) -> None:
    assert check_text(GOOD[name], REGISTRY).errors == ()


def test_older_names_are_warnings_at_their_place() -> None:
    text = """{"exchanges": [{
      "dtype": "string",
      "source": {"type": "InMemorySource", "data": []},
      "sink": {"type": "TangoAttributeSink", "attribute_name": "a"}
    }]}"""
    checked = check_text(text, REGISTRY)

    assert not checked.errors
    places = [(found.place and found.place.line, found.path) for found in checked.findings]
    assert places == [(2, "exchanges[0].dtype"), (4, "exchanges[0].sink.type")]
    assert "'TangoLocalAttributeSink'" in checked.findings[1].message


@pytest.mark.parametrize("text", ["", "  \n", "null", "{}"])
def test_nothing_is_a_good_configuration(text: str) -> None:
    assert not check_text(text, REGISTRY).findings


def test_json_inside_of_json_is_read_too() -> None:
    checked = check_text(json.dumps('{"exchange": []}'), REGISTRY)
    assert [found.path for found in checked.errors] == ["exchange"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe{}", "no text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"{\x00}", "not valid JSON"),
    ],
)
def test_what_is_no_text_of_json_is_told(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)

    (checked,) = check_files([str(path)], (), REGISTRY, None).values()

    (found,) = checked.errors
    assert reason in found.message


def test_a_folder_is_told(tmp_path: Path) -> None:
    (checked,) = check_files([str(tmp_path)], (), REGISTRY, None).values()
    assert "Is a directory" in checked.errors[0].message


def test_several_files_have_one_exit_code_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text("{}")
    bad.write_text('{"exchanges":\n  5}')

    assert check(str(good)) == 0
    assert check(str(good), str(bad)) == 2
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"{bad}:1:2: error: exchanges: found 5")
    assert check(str(good), str(bad), as_json=True) == 2
    files: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [(each["ok"], len(each["findings"])) for each in files] == [(True, 0), (False, 1)]
    assert files[1]["findings"][0] | {"message": ""} == {
        "severity": "error", "path": "exchanges", "line": 1, "column": 2, "message": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ('{"type": "EtcdConfigSource", "path": "no slash"}', "path"),
        ('{"type": "EtcdConfigSource", "path": "/a", "state_name": "fault"}', "fault_name"),
        ('{"type": "EtcdSource"}', "type"),
        ("{", ""),
    ],
)
def test_a_configuration_source_is_checked_too(source: str, path: str) -> None:
    (checked,) = check_files((), [source], REGISTRY, None).values()
    assert [found.path for found in checked.errors][:1] == [path]


def test_a_file_of_tests_is_checked_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.test.json"
    path.write_text('[{"name": "x",\n "inptus": []}]')

    (checked,) = check_files([str(path)], (), REGISTRY, None).values()

    assert told(checked) == {(2, "[0].inptus"), (1, "[0].inputs")}
