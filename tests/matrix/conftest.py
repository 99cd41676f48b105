"""The product between its far ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devservices.kafka import KafkaBroker
from devservices.tango import TangoDatabase

from .services import Matrix, matrix


@pytest.fixture(scope="module")
def services(kafka_broker: KafkaBroker, tango_database: TangoDatabase) -> Iterator[Matrix]:
    """Both hosts of the product, between a broker and a device with one of everything."""
    with matrix(kafka_broker, tango_database) as found:
        yield found
