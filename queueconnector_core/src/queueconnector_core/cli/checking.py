"""Says of a text everything that is wrong with it as a configuration, each with path and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

import attrs

from queueconnector_core.cli.places import Place, Places, places_of
from queueconnector_core.cli.walking import Part, component_objects
from queueconnector_core.component import Services
from queueconnector_core.errors import ConfigError, Problem, join_path
from queueconnector_core.plan import Plan, Proof, examine
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json

__all__ = ("Finding", "Checked", "check_as", "check_text", "every_service", "OLDER_DTYPES")

OLDER_DTYPES: Final = {"string": "str", "str_": "str", "object_": "object", "bool_": "bool"}
"""Words for dtypes that older configurations have and that are still understood."""


@attrs.frozen
class Finding:
    """One thing to say about a text."""

    path: str
    """The JSON path as the text has it."""
    message: str
    place: Place | None
    """None where the text is no JSON that could be scanned."""
    severity: Literal["error", "warning"] = "error"


@attrs.frozen
class Checked:
    """What is known of a text."""

    findings: tuple[Finding, ...]
    """In the order of the text."""
    plan: Plan = attrs.field(factory=Plan)
    """What could be planned, also where other parts are wrong."""
    places: Places | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings for which the configuration would be refused."""
        return tuple(found for found in self.findings if found.severity == "error")

    def path_of(self, path: str) -> str:
        """A path as the text has it."""
        return path if self.places is None else self.places.of(path)[0]

    def with_problems(self, problems: Iterable[Problem]) -> Checked:
        """The same with more errors, each found at its path."""
        more = _found(problems, self.places)
        return attrs.evolve(self, findings=_sorted([*self.findings, *more]))


def every_service(registry: Registry) -> Services:
    """A host that offers whatever a component type asks for: for proofs, not for building."""
    return Services({need: object() for each in registry.walk() for need in each.requires})


def check_text(text: str, registry: Registry) -> Checked:
    """Read and prove a text as a host would that has every service."""
    if not text.strip():
        return Checked(())

    def examined(document: object) -> Proof:
        return examine(document, registry, every_service(registry))

    return _checked(text, examined, lambda document: older_words(document, registry))


def check_as(text: str, read: Callable[[object], object]) -> Checked:
    """Read a text as something else than a configuration; `read` raises `ConfigError`."""

    def examined(document: object) -> Proof:
        try:
            read(document)
        except ConfigError as error:
            return Proof(Plan(), error.problems)
        return Proof(Plan())

    return _checked(text, examined, lambda _: ())


def _checked(
    text: str,
    examined: Callable[[object], Proof],
    older: Callable[[object], Iterable[Problem]],
) -> Checked:
    try:
        document, places = _parsed(text)
    except json.JSONDecodeError as error:
        finding = Finding("", f"not valid JSON: {error.msg}", Place(error.lineno, error.colno))
        return Checked((finding,))
    except ConfigError as error:
        return Checked(tuple(_found(error.problems, None)))
    findings = []
    for path, key, place in () if places is None else places.repeated():
        message = f"the key {key!r} stands twice in one object"
        findings.append(Finding(join_path(path, key), message, place))
    proof = examined(document)
    findings += _found(proof.problems, places)
    findings += _found(older(document), places, "warning")
    return Checked(_sorted(findings), proof.plan, places)


def _parsed(text: str) -> tuple[Any, Places | None]:
    """The document, and its places unless the text is JSON inside of JSON.

    Raises `json.JSONDecodeError`, or `ConfigError` for what Python does not read.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        document = read_json(text)
    if isinstance(document, str):
        return read_json(text), None
    return document, places_of(text)


def older_words(document: object, registry: Registry) -> Iterator[Problem]:
    """What is understood, but has a newer name."""
    for part in component_objects(document, registry):
        yield from _older_type(part, registry)
        word = part.value.get("dtype")
        if part.kind is None and isinstance(word, str) and word in OLDER_DTYPES:
            text = f"found {word!r}, an older word for {OLDER_DTYPES[word]!r}"
            yield Problem(join_path(part.path, "dtype"), text)


def _older_type(part: Part, registry: Registry) -> Iterator[Problem]:
    name = part.value.get("type")
    component = None if part.kind is None else registry.types.get((part.kind, str(name)))
    if component is not None and component.name != name:
        text = f"found {name!r}, an older name of {component.name!r}"
        yield Problem(join_path(part.path, "type"), f"{text}; `queueconnector convert` renames it")


def _found(
    problems: Iterable[Problem],
    places: Places | None,
    severity: Literal["error", "warning"] = "error",
) -> Iterator[Finding]:
    for problem in problems:
        path, place = (problem.path, None) if places is None else places.of(problem.path)
        yield Finding(path, problem.message, place, severity)


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, in the order of the text."""
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(unique, key=lambda f: (f.place.line, f.place.column) if f.place else (0, 0))
    )
