"""Tests of a configuration: what goes in, and what has to come out of every sink.

An exchange runs as it is configured, with its pipes, its encodings and its error policy; only the
far ends are replaced. Nothing is connected.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import attrs
from msgspec import Meta

from queueconnector_core.cli.checking import every_service
from queueconnector_core.cli.trial_ends import (
    Given,
    Recorded,
    Recorder,
    TrialSource,
    expected_form,
    recorded_form,
    with_recorders,
)
from queueconnector_core.cli.walking import planned_components
from queueconnector_core.errors import ConfigError, FatalError, RecordError
from queueconnector_core.plan import ExchangePlan, Plan, examine
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure_as

__all__ = ("TESTS_SUFFIX", "Case", "ExpectedFailure", "Outcome", "Trials", "read_cases")

TESTS_SUFFIX: Final = ".test.json"
"""How the name of a file of tests ends; what stands before it names the configuration."""

TIMEOUT_S: Final = 30.0


@attrs.frozen
class ExpectedFailure:
    """A record that has to fail."""

    stage: Annotated[
        str | None, Meta(description="Where: source, pipe, sink, or with an index: pipe[1].")
    ] = None
    message: Annotated[str, Meta(description="Words that the reason has to contain.")] = ""


@attrs.frozen
class Case:
    """One test of one exchange."""

    name: Annotated[str, Meta(description="What it shows, in words.", min_length=1)]
    inputs: Annotated[list[Given], Meta(description="The records that come in, in order.")]
    outputs: Annotated[
        Mapping[str, list[Given]],
        Meta(
            description="The records that each sink has to get, by its path in the exchange: sink, "
            "sink[1], errors.dead_letters, gaps. A sink that is left out is not looked at."
        ),
    ] = attrs.field(factory=dict)
    exchange: Annotated[
        str | None,
        Meta(description="The exchange, such as default[0]; left out: the only one there is."),
    ] = None
    failures: Annotated[
        list[ExpectedFailure], Meta(description="The records that have to fail, in order.")
    ] = attrs.field(factory=list)
    fault: Annotated[
        str | None,
        Meta(description="Words of the reason for which the exchange has to stop in FAULT."),
    ] = None
    tolerance: Annotated[
        float,
        Meta(description="How far numbers may differ, in parts of the larger one.", ge=0, le=1),
    ] = 0.0


@attrs.frozen
class Outcome:
    """What became of a case; without differences it has passed."""

    case: Case
    differences: tuple[str, ...]


def read_cases(text: str, registry: Registry) -> list[Case]:
    """The cases of a file; raises `ConfigError` with all problems."""
    return structure_as(read_json(text), list[Case], registry)


class Trials:
    """Runs cases against one configuration."""

    def __init__(self, text: str, registry: Registry) -> None:
        """Prove the configuration; raises `ConfigError` when it cannot be accepted."""
        self._recorders: dict[int, Recorder] = {}
        self._registry = with_recorders(registry, self._recorders)
        self._services = every_service(registry)
        document = read_json(text) if text.strip() else None
        self._plan: Plan = examine(document, self._registry, self._services).accepted()

    def run(self, case: Case) -> Outcome:
        """Run one case; raises `ConfigError` when it does not fit the configuration."""
        return asyncio.run(self._run(case))

    def _chosen(self, case: Case) -> ExchangePlan:
        plans = {plan.name: plan for group in self._plan.groups.values() for plan in group}
        name = case.exchange or (next(iter(plans)) if len(plans) == 1 else None)
        if name not in plans:
            found = "is required" if name is None else f"found {name!r}"
            raise ConfigError.at("exchange", f"{found}; allowed: {', '.join(plans) or 'none'}")
        return plans[name]

    async def _run(self, case: Case) -> Outcome:
        plan = self._chosen(case)
        self._recorders.clear()
        source = TrialSource(plan, case.inputs, self._registry)
        exchange = plan.build(self._registry, self._services, source)
        sinks = self._sinks(plan)
        wanted = _wanted(case, sinks)
        failures: list[RecordError] = []
        exchange.errors.on_failed = failures.extend
        fault = ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await exchange.start()
                await exchange.run()
        except FatalError as error:
            fault = str(error)
        except TimeoutError:
            fault = f"it did not end within {TIMEOUT_S:g} s"
        finally:
            await exchange.stop()
        return Outcome(case, tuple(_differences(case, wanted, sinks, failures, fault)))

    def _sinks(self, plan: ExchangePlan) -> dict[str, Recorder]:
        return {
            path: self._recorders[id(component.descriptor)]
            for path, component in planned_components(plan, self._registry)
            if id(component.descriptor) in self._recorders
        }


def _wanted(case: Case, sinks: Mapping[str, Recorder]) -> dict[str, list[dict[str, Any]]]:
    """The expected records in the form that is compared."""
    wanted: dict[str, list[dict[str, Any]]] = {}
    for path, expected in case.outputs.items():
        if path not in sinks:
            raise ConfigError.at(f"outputs.{path}", f"no such sink; allowed: {', '.join(sinks)}")
        for index, given in enumerate(expected):
            try:
                form = expected_form(given, sinks[path])
            except ConfigError as error:
                raise error.under(f"outputs.{path}[{index}]") from None
            wanted.setdefault(path, []).append(form)
        wanted.setdefault(path, [])
    return wanted


def _differences(
    case: Case,
    wanted: Mapping[str, list[dict[str, Any]]],
    sinks: Mapping[str, Recorder],
    failures: Sequence[RecordError],
    fault: str,
) -> Iterator[str]:
    for path, expected in wanted.items():
        yield from _compare(path, expected, sinks[path].records, case.tolerance)
    yield from _compare_failures(case.failures, failures)
    if case.fault is None and fault:
        yield f"the exchange stopped in FAULT: {fault}"
    elif case.fault is not None and case.fault not in fault:
        yield f"fault: expected {case.fault!r}, got {fault or 'none'!r}"


def _compare(
    path: str, expected: Sequence[dict[str, Any]], got: Sequence[Recorded], tolerance: float
) -> Iterator[str]:
    for index in range(max(len(expected), len(got))):
        place = f"{path}, record {index}"
        if index >= len(got):
            yield f"{place}: expected {expected[index]}, got nothing"
        elif index >= len(expected):
            yield f"{place}: expected nothing, got {recorded_form(got[index], ())}"
        else:
            found = recorded_form(got[index], expected[index])
            if not _is_close(expected[index], found, tolerance):
                yield f"{place}: expected {expected[index]}, got {found}"


def _compare_failures(
    expected: Sequence[ExpectedFailure], got: Sequence[RecordError]
) -> Iterator[str]:
    for index in range(max(len(expected), len(got))):
        place = f"failure {index}"
        if index >= len(got):
            yield f"{place}: expected {_words(expected[index])}, got nothing"
        elif index >= len(expected):
            yield f"{place}: expected nothing, got {got[index].stage}: {got[index]}"
        elif expected[index].stage not in (None, got[index].stage) or (
            expected[index].message not in str(got[index])
        ):
            told = f"{got[index].stage}: {got[index]}"
            yield f"{place}: expected {_words(expected[index])}, got {told}"


def _words(failure: ExpectedFailure) -> str:
    return ": ".join(filter(None, (failure.stage, repr(failure.message))))


def _is_close(one: Any, other: Any, tolerance: float) -> bool:
    """Equal, but for numbers that nearly are; NaN is NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and _all_close(
            ((one[key], other[key]) for key in one), tolerance
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and _all_close(zip(one, other, strict=True), tolerance)
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        if not numbers or isinstance(one, bool) or isinstance(other, bool):
            return False
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=tolerance)
    return type(one) is type(other) and bool(one == other)


def _all_close(pairs: Iterable[tuple[Any, Any]], tolerance: float) -> bool:
    return all(_is_close(one, other, tolerance) for one, other in pairs)
