"""Asks the live far ends of a plan whether what is configured is really there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from queueconnector_core.cli.walking import planned_components
from queueconnector_core.component import BuildContext, ComponentType, Services
from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.descriptors import ConfigSourceDescriptor, Descriptor
from queueconnector_core.errors import ConfigError, Problem, join_path
from queueconnector_core.plan import Plan
from queueconnector_core.registry import Registry

__all__ = ("Question", "questions_of", "source_question", "ask_all")


@attrs.frozen
class Question:
    """One component that can be asked about, with its path in the document."""

    path: str
    type: ComponentType
    descriptor: Descriptor
    context: BuildContext | ConfigContext

    async def run(self, timeout_s: float) -> tuple[Problem, ...]:
        """The problems found, each with its path; that nobody answers is one, with the reason."""
        if self.type.probe is None:
            return ()
        try:
            ask = self.type.probe()  # the import of a transport does not count as waiting
            async with asyncio.timeout(timeout_s):
                found = tuple(await ask(self.descriptor, self.context))
        except ConfigError as error:
            found = error.problems
        except TimeoutError:
            found = (Problem("", f"no answer within {timeout_s:g} s"),)
        except Exception as error:  # noqa: BLE001 - a plugin's fault stays its own
            reason = f"{type(error).__name__}: {error}"
            found = (Problem("", f"{self.type.name} cannot be asked about: {reason}"),)
        return tuple(problem.under(self.path) for problem in found)


def questions_of(plan: Plan, registry: Registry, services: Services) -> list[Question]:
    """A question for each component of a plan whose type has a probe."""
    questions: list[Question] = []
    for exchange in (exchange for group in plan.groups.values() for exchange in group):
        for path, component in planned_components(exchange, registry):
            if component.type.probe is not None:
                context = BuildContext(component.spec, registry, services, exchange.name)
                place = join_path(exchange.path, path)
                questions.append(Question(place, component.type, component.descriptor, context))
    return questions


def source_question(
    path: str, type_: ComponentType, descriptor: ConfigSourceDescriptor
) -> Question:
    """The question to a configuration source."""
    return Question(path, type_, descriptor, ConfigContext("queueconnector check"))


async def ask_all(questions: Sequence[Question], timeout_s: float) -> list[Problem]:
    """The problems of all, asked at the same time, each for at most `timeout_s` seconds."""
    found = await asyncio.gather(*(question.run(timeout_s) for question in questions))
    return [problem for problems in found for problem in problems]
