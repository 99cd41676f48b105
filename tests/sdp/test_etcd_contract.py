"""The native client keeps the contract of configuration sources."""

from __future__ import annotations

import pytest

from tests.config.source_contract import Harness, ManyDocumentsContract, SourceContract
from tests.sdp.conftest import Place, SourceHarness


class TestChildren(ManyDocumentsContract):
    @pytest.fixture
    def harness(self, place: Place) -> Harness:
        return SourceHarness(place, place.source())


class TestValue(SourceContract):
    @pytest.fixture
    def harness(self, place: Place) -> Harness:
        return SourceHarness(place, place.source(mode="value"), keys=(None,))
