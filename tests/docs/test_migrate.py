"""Each form of configuration on the page about migration is answered as the page says."""

from __future__ import annotations

import json
import re

import pytest

from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import Plan, read_plan
from queueconnector_tango.host import AttributeHost
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/how-to/migrate-from-ska.md").read_text("utf-8")
ROWS = re.findall(r'^\| `(".*)` \| (accepted|refused)[:;,]? ?(.*) \|$', PAGE, re.MULTILINE)

DEVICE = Services({AttributeHost: object()})
EXCHANGE = {
    "dtype": "float64",
    "source": {"type": "InMemorySource", "data": []},
    "sink": {"type": "InMemorySink", "key": "k"},
}


def document(form: str) -> str:
    """A whole configuration with a form in it."""
    options = json.loads(f"{{{form}}}")
    whole = options if "exchanges" in options else {"exchanges": [EXCHANGE | options]}
    return json.dumps(whole)


def test_every_row_is_tried() -> None:
    table = PAGE.split("| form | here |")[1].split("\n\n")[0]

    assert len(ROWS) == len(table.strip().splitlines()) - 1


@pytest.mark.parametrize(("form", "answer", "words"), ROWS)
def test_a_form_is_answered_as_the_table_says(form: str, answer: str, words: str) -> None:
    registry = discover().registry

    if answer == "accepted":
        assert isinstance(read_plan(document(form), registry, DEVICE), Plan)
    else:
        with pytest.raises(ConfigError, match=re.escape(words)):
            read_plan(document(form), registry, DEVICE)


def test_text_in_text_is_parsed_once_more() -> None:
    text = document('"dtype": "float64"')

    assert read_plan(json.dumps(text), discover().registry, DEVICE).groups["default"]
