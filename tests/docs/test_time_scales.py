"""The table of instants on the page about time scales is what the Kafka sink computes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pytest

from queueconnector_kafka.timestamps import TimestampOptions, extractor
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/explanation/time-scales.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d{4}-\S+) \| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)


def test_the_table_is_there() -> None:
    assert len(ROWS) == 4


@pytest.mark.parametrize(("tai", "unix_ms", "meaning"), ROWS)
def test_an_instant_becomes_that_time_stamp(tai: str, unix_ms: str, meaning: str) -> None:
    assert extractor(TimestampOptions())(np.datetime64(tai, "ns")) == int(unix_ms)
    if ":60" not in meaning:
        utc = datetime.fromtimestamp(int(unix_ms) / 1000, UTC).isoformat(timespec="milliseconds")
        shown = utc.replace(".000", "").removesuffix("+00:00").split("T")[1]
        assert shown in meaning
