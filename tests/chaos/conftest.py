"""What the chaos tests share: short or long form, and a row of figures for the final table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import CHAOS_RESULT


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether the long forms were asked for."""
    return bool(request.config.getoption("--chaos"))


@pytest.fixture
def tell(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None], is_long: bool
) -> Callable[..., None]:
    """`tell(figure=...)` adds this test to the table at the end of the run."""

    def add(**figures: Any) -> None:
        told = ", ".join(
            f"{name.replace('_', ' ')} {_text(value)}" for name, value in figures.items()
        )
        form = "long" if is_long else "short"
        record_property(CHAOS_RESULT, f"{request.node.name} ({form}): {told}")

    return add


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
