"""Settings of every test; the real services come from `-p devservices.pytest_plugin`."""

import pytest
from hypothesis import settings

# Examples are timed by the wall clock, and tests share the machine.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the matrix last.

    It subscribes to hundreds of attributes, and in a process that once did, ZeroMQ takes so long to
    pass on a new subscription that the first events of later tests are lost.
    """
    items.sort(key=lambda item: "matrix" in item.path.parts)
