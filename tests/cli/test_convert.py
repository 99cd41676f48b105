"""`convert` writes older configurations in the words of this release, and changes no meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.cli.checking import every_service
from queueconnector_core.cli.convert import convert
from queueconnector_core.cli.converting import convert_document
from queueconnector_core.plan import examine
from tests.config.test_check import GOOD
from write_schema import standard_registry

REGISTRY = standard_registry()
SOURCE = {"type": "InMemorySource", "data": []}
SINK = {"type": "InMemorySink", "key": "k"}
LOCAL = {"type": "TangoLocalAttributeSink", "attribute_name": "a"}
KAFKA = {"servers": "h", "topic": "t"}


def converted(**exchange: Any) -> tuple[dict[str, Any], list[str]]:
    document = {"exchanges": [{"source": SOURCE, "sink": SINK} | exchange]}
    new, changes = convert_document(document, REGISTRY)
    return new["exchanges"][0], [change.path for change in changes]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_accepted_keeps_its_meaning_and_its_order(name: str) -> None:
    old = json.loads(GOOD[name])
    new, changes = convert_document(old, REGISTRY)
    services = every_service(REGISTRY)

    assert examine(new, REGISTRY, services) == examine(old, REGISTRY, services)
    assert (json.dumps(new) == json.dumps(old)) is (not changes)


@pytest.mark.parametrize(
    ("exchange", "path", "value"),
    [
        ({"sink": LOCAL | {"type": "TangoAttributeSink"}}, "sink.type", LOCAL["type"]),
        ({"sink": LOCAL | {"type": "TangoAttributeDataSink"}}, "sink.type", LOCAL["type"]),
        ({"source": SOURCE | {"type": "InMemoryDataSource"}}, "source.type", "InMemorySource"),
        ({"dtype": "string"}, "dtype", "str"),
        ({"dtype": "object_"}, "dtype", "object"),
        ({"dtype": "dict"}, "dtype", "object"),
        ({"dtype": "bytearray"}, "dtype", "bytes"),
        ({"sink": LOCAL | {"poll_period": 5}, "dtype": "int"}, "sink.poll_period", None),
    ],
)
def test_an_older_word_is_replaced(exchange: dict[str, Any], path: str, value: object) -> None:
    new, changes = converted(**exchange)

    found: Any = new
    for key in path.split("."):
        found = found.get(key)
    assert found == value
    assert changes == [f"exchanges[0].{path}"]
    assert not examine({"exchanges": [new]}, REGISTRY, every_service(REGISTRY)).problems


def test_json_as_a_dtype_becomes_an_object_that_is_json_on_the_wire() -> None:
    new, changes = converted(
        dtype="json",
        source={"type": "KafkaConsumerSource", **KAFKA},
        sink=[SINK, {"type": "KafkaProducerSink", **KAFKA, "encoding": "msgpack_numpy"}],
    )
    assert (new["dtype"], new["source"]["encoding"]) == ("object", "json")
    assert new["sink"][1]["encoding"] == "msgpack_numpy"
    assert changes == ["exchanges[0].source", "exchanges[0].dtype"]


def test_a_bare_list_is_one_of_exchanges() -> None:
    new, changes = convert_document([{"source": SOURCE, "sink": SINK}], REGISTRY)
    assert new == {"exchanges": [{"source": SOURCE, "sink": SINK}]}
    assert [change.path for change in changes] == [""]


@pytest.mark.parametrize("document", [None, 5, "x", [], {"exchanges": [5, {"source": 1}]}])
def test_what_is_no_configuration_is_left_alone(document: object) -> None:
    new, _ = convert_document(document, REGISTRY)
    assert new in (document, {"exchanges": document})


def test_a_file_is_written_anew_only_when_something_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"exchanges":  []}')
    assert convert(str(path), in_place=True) == 0
    assert path.read_text() == '{"exchanges":  []}'

    old = {"exchanges": [{"source": SOURCE, "dtype": "int", "sink": LOCAL | {"access": 1}}]}
    path.write_text(json.dumps(old, indent=3))
    assert convert(str(path), in_place=True) == 0
    new = path.read_text()
    assert list(json.loads(new)["exchanges"][0]) == ["source", "dtype", "sink"]
    assert '\n   "exchanges"' in new
    assert "exchanges[0].sink.access: was left out" in capsys.readouterr().err


def test_what_cannot_be_accepted_is_printed_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"exchanges": [{"source": SOURCE, "sink": {"type": "Nothing"}}]}))
    assert convert(str(path)) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["exchanges"]
    assert "unknown sink type 'Nothing'" in told.err
    assert convert("-", in_place=True) == 2
