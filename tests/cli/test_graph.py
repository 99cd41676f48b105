"""The picture of a configuration shows every component, once, and what flows between them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import attrs
import pytest

from queueconnector_core.cli.checking import check_text
from queueconnector_core.cli.graph import graph
from queueconnector_core.cli.mermaid import mermaid
from queueconnector_core.cli.picture import Picture, picture_of
from queueconnector_core.cli.svg import svg
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.registry import Registry
from write_schema import standard_registry


@attrs.frozen
class BothSinkDescriptor(SinkDescriptor):
    """A sink that holds others."""

    first: SinkDescriptor
    others: tuple[SinkDescriptor, ...] = ()


REGISTRY: Registry = standard_registry().with_(
    [ComponentType("BothSink", ComponentKind.SINK, lambda *_: None, BothSinkDescriptor)]
)
NAME = 'we "<ä>&\x07#;`\\\u2028'


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - it is our own


def memory(key: str) -> dict[str, Any]:
    return {"type": "InMemorySink", "key": key}


DOCUMENT = {
    "exchanges": {
        "pointing": [
            {
                "dtype": "float64",
                "shape": [3],
                "source": [{"type": "InMemorySource", "data": []}] * 2,
                "pipe": {"type": "BufferWithTimePipe"},
                "sink": [
                    memory("a"),
                    {"type": "BothSink", "first": memory("b"), "others": [memory("c")]},
                ],
                "errors": {"action": "dead_letter", "dead_letters": memory("dead")},
                "gaps": memory("gaps"),
            }
        ],
        NAME: [{"source": {"type": "InMemorySource", "data": []}, "sink": memory(NAME)}],
    }
}


@pytest.fixture(scope="module")
def picture() -> Picture:
    checked = check_text(json.dumps(DOCUMENT), REGISTRY)
    assert not checked.errors
    return picture_of(checked.plan, REGISTRY)


def test_every_component_has_a_box_in_its_group(picture: Picture) -> None:
    kinds = {group: [box.kind for box in boxes] for group, boxes in picture.groups.items()}
    assert sorted(kinds["pointing"]) == sorted([*["source"] * 2, "exchange", "pipe", *["sink"] * 6])
    assert sorted(kinds[NAME]) == ["exchange", "sink", "source"]
    names = [box.name for boxes in picture.groups.values() for box in boxes]
    assert len(set(names)) == len(names)


def test_arrows_tell_what_flows_and_what_stands_aside(picture: Picture) -> None:
    lines = {box.name: box.lines[-1] for boxes in picture.groups.values() for box in boxes}
    arrows = {(lines[a.begin], lines[a.end]): (a.text, a.is_aside) for a in picture.arrows}
    assert arrows["pointing[0]", "BufferWithTimePipe"] == ("float64[3]", False)
    assert arrows["BufferWithTimePipe", "a"] == ("float64[-1, 3]", False)
    assert arrows["pointing[0]", "dead"] == ("bytes", True)
    assert arrows["pointing[0]", "gaps"] == ("object", True)
    nested = {
        (lines[a.begin], lines[a.end]): a.text
        for a in picture.arrows
        if a.text in ("first", "others[0]")
    }
    assert [end for _, end in nested] == ["b", "c"]


def test_mermaid_has_a_line_for_each_and_nothing_that_it_takes_for_syntax(
    picture: Picture,
) -> None:
    lines = mermaid(picture).splitlines()

    assert lines[0] == "flowchart LR"
    assert sum("subgraph" in line for line in lines) == 2
    assert sum("-->" in line or "-.->" in line for line in lines) == len(picture.arrows)
    for line in lines:
        label = line.split('"')[1::2]
        assert not any(set('<>`"') & set(text.replace("<br>", "")) for text in label)
        assert line.isprintable()
    assert any("we #34;#60;ä#62;" in line for line in lines)


def test_svg_is_valid_xml_with_every_label(picture: Picture) -> None:
    root = parsed(svg(picture))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for boxes in picture.groups.values():
        for box in boxes:
            shown = [
                "".join(c if c.isprintable() else "\ufffd" for c in line) for line in box.lines
            ]
            assert set(shown) <= set(texts)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(rect.attrib.get("x", 0)), float(rect.attrib.get("y", 0))
        assert x + float(rect.attrib["width"]) <= width
        assert y + float(rect.attrib["height"]) <= height


def test_boxes_do_not_lie_on_each_other(picture: Picture) -> None:
    root = parsed(svg(picture))
    rects = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if rect.attrib.get("rx") == "5"
    ]
    for index, (x, y, width, height) in enumerate(rects):
        for left, top, wide, high in rects[index + 1 :]:
            apart = x + width <= left or left + wide <= x or y + height <= top or top + high <= y
            assert apart


def test_an_empty_configuration_is_an_empty_picture() -> None:
    assert mermaid(Picture()) == "flowchart LR\n"
    parsed(svg(Picture()))


def test_a_configuration_that_is_refused_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"exchanges": 5}')

    assert graph(str(path)) == 2
    assert "exchanges: found 5" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["x.svg", "no/such/folder/x.svg"])
def test_the_picture_is_written_where_it_is_told(tmp_path: Path, output: str) -> None:
    config, target = tmp_path / "x.json", tmp_path / output
    config.write_text(json.dumps({"exchanges": DOCUMENT["exchanges"] and None}))

    code = graph(str(config), format_="svg", output=target)

    assert (code == 0) is target.exists()
    assert code in (0, 2)
