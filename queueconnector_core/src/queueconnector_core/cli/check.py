"""`queueconnector check`: everything that is wrong with configurations, before they run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from queueconnector_core._lenient import is_apart
from queueconnector_core.cli.checking import Checked, Finding, check_as, check_text, every_service
from queueconnector_core.cli.files import NAME_OF_STDIN, read_text
from queueconnector_core.cli.probing import Question, ask_all, questions_of, source_question
from queueconnector_core.cli.problems import EXIT_CONFIG, refuse
from queueconnector_core.cli.trials import TESTS_SUFFIX, Case
from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure_as

__all__ = ("check", "check_files")


def check(
    *configs: Annotated[str, Parameter(allow_leading_hyphen=True)],
    connect: Annotated[bool, Parameter(negative=())] = False,
    timeout_s: Annotated[float, Parameter(validator=Number(gt=0))] = 10.0,
    source: Annotated[list[str] | None, Parameter(negative=())] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Say everything that is wrong with configurations, without running them.

    Each problem is told with its file, line, column and JSON path. Older names that are still
    understood are warnings. Nothing is changed, here or at any far end.

    Exit codes: 0 when nothing is wrong (there may be warnings), 2 when something is.

    Examples: `queueconnector check night.json`, `queueconnector check --connect *.json`,
    `cat night.json | queueconnector check -`.

    Parameters
    ----------
    configs
        The paths of JSON configurations, or of their tests (`.test.json`); `-` is standard input.
    connect
        Also ask the live far ends: is the broker there, the topic, the attribute, and do their
        dtype and shape fit? Topics are not made, groups are not joined.
    timeout_s
        Seconds after which a far end that does not answer is a problem; all are asked at once.
    source
        A configuration source to check as well, as JSON with a type; may be given again.
    as_json
        Print one JSON document: a list of files, each with its problems.
    """
    if not configs and not source:
        return refuse("give the path of a configuration, or - for standard input, or a --source")
    registry = discover().registry
    results = check_files(configs, source or (), registry, timeout_s if connect else None)
    if as_json:
        print(json.dumps([_file_json(*result) for result in results.items()], indent=2))
    else:
        _tell(results)
    return EXIT_CONFIG if any(checked.errors for checked in results.values()) else 0


def check_files(
    configs: Sequence[str], sources: Sequence[str], registry: Registry, timeout_s: float | None
) -> dict[str, Checked]:
    """What is found in each file and configuration source, by name.

    With `timeout_s` (seconds) the far ends are asked as well.
    """
    results: dict[str, Checked] = {}
    questions: dict[str, list[Question]] = {}
    for config in dict.fromkeys(configs):
        name = NAME_OF_STDIN if config == "-" else config
        try:
            results[name] = checked = _checked(config, read_text(config), registry)
        except ConfigError as error:
            results[name] = Checked(()).with_problems(error.problems)
        else:
            questions[name] = questions_of(checked.plan, registry, every_service(registry))
    for number, source in enumerate(sources):
        name = f"--source[{number}]"
        try:
            questions[name] = [_source(source, registry)]
            results[name] = Checked(())
        except ConfigError as error:
            results[name] = Checked(()).with_problems(error.problems)
    if timeout_s is not None:
        asyncio.run(_ask(results, questions, timeout_s))
    return results


def _checked(config: str, text: str, registry: Registry) -> Checked:
    if not config.endswith(TESTS_SUFFIX):
        return check_text(text, registry)
    return check_as(text, lambda document: structure_as(document, list[Case], registry))


def _source(text: str, registry: Registry) -> Question:
    descriptor = structure_as(read_json(text), ConfigSourceDescriptor, registry)
    descriptor.check()
    component = registry.of_descriptor(type(descriptor), ComponentKind.CONFIG_SOURCE)
    return source_question("", component, descriptor)


async def _ask(
    results: dict[str, Checked], questions: dict[str, list[Question]], timeout_s: float
) -> None:
    async def ask(name: str) -> None:
        told = [found.path for found in results[name].errors]
        # What is wrong as it is written was replaced by a guess: nobody asks about that.
        wanted = [
            each for each in questions[name] if is_apart(results[name].path_of(each.path), told)
        ]
        found = await ask_all(wanted, timeout_s)
        results[name] = results[name].with_problems(found)

    await asyncio.gather(*map(ask, questions))


def _file_json(name: str, checked: Checked) -> dict[str, Any]:
    return {
        "file": name,
        "ok": not checked.errors,
        "findings": [_finding_json(found) for found in checked.findings],
    }


def _finding_json(found: Finding) -> dict[str, Any]:
    place = {"line": None, "column": None} if found.place is None else attrs.asdict(found.place)
    return {
        "severity": found.severity,
        "path": found.path,
        **place,
        "message": found.message,
    }


def _tell(results: dict[str, Checked]) -> None:
    """One line for each finding, as compilers do, so that editors find the place."""
    for name, checked in results.items():
        for found in checked.findings:
            place = f":{found.place.line}:{found.place.column}" if found.place else ""
            path = f"{found.path}: " if found.path else ""
            print(f"{name}{place}: {found.severity}: {path}{found.message}")
        if not checked.findings:
            print(f"{name}: nothing is wrong")
