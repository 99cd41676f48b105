"""`queueconnector test`: runs the tests that stand beside a configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

from cyclopts import Parameter

from queueconnector_core.cli.files import read_text
from queueconnector_core.cli.problems import EXIT_FAULT, told
from queueconnector_core.cli.trials import TESTS_SUFFIX, Outcome, Trials, read_cases
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry

__all__ = ("run_tests", "trial")

Result = TypeVar("Result")


def trial(
    configs: Annotated[list[str], Parameter(negative=())],
    /,
    *,
    tests: str | None = None,
    only: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Run the tests of a configuration, which stand beside it: night.test.json for night.json.

    A test gives records to an exchange, and says what has to come out of each sink, and what has to
    fail. Pipes, encodings and the error policy are the real ones; no far end is connected.

    Exit codes: 0 when all passed, 1 when one failed, 2 when a file could not be used.

    Examples: `queueconnector test night.json`, `queueconnector test night.json --only "a NaN"`.

    Parameters
    ----------
    configs
        The paths of JSON configurations.
    tests
        The file of tests, where it has another name; for one configuration.
    only
        Only the tests whose names contain these words.
    as_json
        Print a JSON list of all tests, each with what differed.
    """

    def command() -> int:
        if tests is not None and len(configs) > 1:
            raise ConfigError.at("--tests", "goes with one configuration")
        registry = discover().registry
        results = {
            config: run_tests(config, tests or _beside(config), registry, only or "")
            for config in configs
        }
        (_print_json if as_json else _print)(results)
        failed = any(each.differences for outcomes in results.values() for each in outcomes)
        return EXIT_FAULT if failed else 0

    return told(command)


def _beside(config: str) -> str:
    return config.removesuffix(".json") + TESTS_SUFFIX


def run_tests(config: str, tests: str, registry: Registry, only: str = "") -> list[Outcome]:
    """Run the tests of a file; raises `ConfigError` that names the file that cannot be used."""
    trials = _named(config, lambda: Trials(read_text(config), registry))
    cases = _named(tests, lambda: read_cases(read_text(tests), registry))
    outcomes = []
    for index, case in enumerate(cases):
        if only in case.name:
            try:
                outcomes.append(trials.run(case))
            except ConfigError as error:
                raise ConfigError.at("", f"{tests}: {error.under(f'[{index}]')}") from None
    if not outcomes:
        raise ConfigError.at("", f"{tests}: has no test" + (f" named {only!r}" if only else ""))
    return outcomes


def _named(path: str, action: Callable[[], Result]) -> Result:
    try:
        return action()
    except ConfigError as error:
        lines = "\n".join(f"{path}: {problem}" for problem in error.problems)
        raise ConfigError.at("", lines) from None


def _print(results: Mapping[str, Sequence[Outcome]]) -> None:
    passed = failed = 0
    for config, outcomes in results.items():
        for outcome in outcomes:
            failed += bool(outcome.differences)
            passed += not outcome.differences
            print(f"{'FAILED' if outcome.differences else 'passed'} {config}: {outcome.case.name}")
            for difference in outcome.differences:
                print(f"    {difference}")
    print(f"{passed} passed, {failed} failed")


def _print_json(results: Mapping[str, Sequence[Outcome]]) -> None:
    rows = [
        {
            "config": config,
            "name": outcome.case.name,
            "passed": not outcome.differences,
            "differences": list(outcome.differences),
        }
        for config, outcomes in results.items()
        for outcome in outcomes
    ]
    print(json.dumps(rows, indent=2))
