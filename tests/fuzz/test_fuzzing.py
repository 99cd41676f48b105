"""The short form: the corpus, and so many damages to it; `make fuzz` goes on for as long as asked.

A failure names the input; `tests.fuzz.targets` reads it again by itself.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import read_plan
from tests.fuzz.corpus import CONFIGURATIONS, DECODERS, EXAMPLES, HOSTILE_CONFIGURATIONS, Case
from tests.fuzz.mutations import damaged, damaged_document
from tests.fuzz.targets import decode, installed, read_configuration, within_limits

# Whether a warning is an error is up to whoever runs it; here it is as in service.
pytestmark = pytest.mark.filterwarnings("ignore")

MESSAGES = 30
"""Damaged messages for each decoder."""
SEEDS = [*CONFIGURATIONS, *EXAMPLES]
DOCUMENTS = 40
"""Damaged forms of each configuration."""


@pytest.fixture(scope="module", autouse=True)
def memory_is_traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def check(target: Callable[[bytes], None], data: bytes) -> None:
    try:
        within_limits(target, data)
    except Exception as error:
        error.add_note(f"input: {data!r}")
        raise


@pytest.mark.parametrize("case", DECODERS, ids=str)
def test_any_message_is_a_value_or_a_record_error(case: Case) -> None:
    random = Random(0)  # noqa: S311 - the same inputs in every run
    for number in range(MESSAGES):
        check(partial(decode, case), damaged(case.valid[number % len(case.valid)], random))


@pytest.mark.parametrize("case", DECODERS, ids=str)
def test_hostile_messages_are_no_worse_for_other_dtypes(case: Case) -> None:
    for data in case.hostile:
        if len(data) <= 10_000:  # larger ones are timed one by one in the tests of the codecs
            check(partial(decode, case), data)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_any_configuration_is_a_plan_or_a_config_error(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - the same inputs in every run
    read_plan(SEEDS[seed].decode(), *installed())
    for _ in range(DOCUMENTS):
        check(read_configuration, damaged_document(SEEDS[seed], random))
        check(read_configuration, damaged(SEEDS[seed], random))


@pytest.mark.parametrize("kind", [ComponentKind.SOURCE, ComponentKind.PIPE, ComponentKind.SINK])
def test_the_corpus_has_every_component_that_is_installed(kind: ComponentKind) -> None:
    registry, _ = installed()
    corpus = b"".join(SEEDS)
    assert [name for name in registry.names(kind) if f'"{name}"'.encode() not in corpus] == []


@pytest.mark.parametrize("number", range(len(HOSTILE_CONFIGURATIONS)))
def test_hostile_configurations_are_config_errors(number: int) -> None:
    check(read_configuration, HOSTILE_CONFIGURATIONS[number])
    with pytest.raises(ConfigError):
        read_plan(HOSTILE_CONFIGURATIONS[number].decode(errors="replace"), *installed())
