"""A reader who follows a page from its first block to its last gets what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from devservices.kafka import KafkaBroker
from devservices.process import HOST, free_port
from devservices.tango import TangoDatabase
from tests.docs.pages import FOLLOWED, all_blocks, exception
from tests.docs.reader import TIMEOUT_S, Reader

pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)

PORTS = (45678, 45679)
"""Where the pages start servers of their own."""


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_reader_gets_through(page: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    places: dict[str, str] = {}
    for port in PORTS:
        own = free_port()
        places |= {f"{HOST}:{port}": f"{HOST}:{own}", f"-port {port}": f"-port {own}"}
    for service in map(request.getfixturevalue, FOLLOWED[page]):
        if isinstance(service, KafkaBroker):
            places["localhost:9092"] = service.bootstrap
        elif isinstance(service, TangoDatabase):
            places["tango-database.example:10000"] = service.tango_host

    Reader(tmp_path, places).follow([block for block in all_blocks(page) if not exception(block)])
