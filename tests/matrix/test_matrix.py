"""Every dtype and shape through every source, sink and encoding; the page says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest

from .combinations import halves
from .compare import same
from .ends import MemorySink, MemorySource, Place
from .page import PAGE, render
from .runner import Case
from .services import Matrix
from .table import Row

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def refused(services: Matrix) -> dict[Case, str]:
    """What is refused when the configuration is read."""
    return services.refusals(halves())


def test_what_is_accepted_works(services: Matrix, refused: dict[Case, str]) -> None:
    accepted = [case for case in halves() if case not in refused]

    failures = list(services.run(accepted))

    assert len(accepted) > 2000
    assert not failures, "\n".join(map(str, failures))


def test_the_documentation_says_what_is_refused(refused: dict[Case, str]) -> None:
    renew = "python -m tests.matrix --write"

    assert PAGE.read_text("utf-8") == render(refused), renew


class Turned(MemorySource):
    """Gives something else than it says."""

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """Each array with its rows in another order."""
        return super().options(row, place, [value[::-1] for value in samples])


def test_what_arrives_changed_is_noticed(services: Matrix) -> None:
    case = Case(Row("float64", (2, 3)), Turned(), (MemorySink(),))

    (failure,) = services.run([case])

    assert "3 of 3" in failure.text


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(np.array([[1.0, np.nan], [-0.0, 2.0]]).T, id="transposed"),
        pytest.param(np.array([[1.0, np.nan], [0.0, 2.0]]), id="sign of zero"),
        pytest.param(np.array([[1.0, 0.0], [-0.0, 2.0]]), id="NaN"),
        pytest.param(np.array([[1.0, np.nan], [-0.0, 2.0]], "float32"), id="dtype"),
        pytest.param(np.array([1.0, np.nan, -0.0, 2.0]), id="shape"),
        pytest.param([[1.0, np.nan], [-0.0, 2.0]], id="list"),
    ],
)
def test_only_equal_arrays_are_the_same(other: Any) -> None:
    array = np.array([[1.0, np.nan], [-0.0, 2.0]])

    assert same(array.copy(), array)
    assert not same(other, array)


def test_every_spec_has_samples() -> None:
    empty = [case for case in halves() if not attrs.evolve(case).samples]

    assert {case.source.kind for case in empty} <= {"TangoPointingSubscriptionSource"}
