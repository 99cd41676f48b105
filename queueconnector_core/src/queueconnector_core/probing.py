"""Asks the live far ends of a plan whether what is configured is really there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from queueconnector_core.component import BuildContext, ComponentType, Services
from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.descriptors import ConfigSourceDescriptor, Descriptor
from queueconnector_core.errors import ConfigError, Problem, join_path
from queueconnector_core.plan import Plan
from queueconnector_core.registry import Registry
from queueconnector_core.walking import planned_components

__all__ = ("Probe", "probes_of", "source_probe", "run_probes")


@attrs.frozen
class Probe:
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
            async with asyncio.timeout(timeout_s):
                found = tuple(await self.type.probe(self.descriptor, self.context))
        except ConfigError as error:
            found = error.problems
        except TimeoutError:
            found = (Problem("", f"no answer within {timeout_s:g} s"),)
        except Exception as error:  # noqa: BLE001 - a plugin's fault stays its own
            reason = f"{type(error).__name__}: {error}"
            found = (Problem("", f"{self.type.name} cannot be asked about: {reason}"),)
        return tuple(problem.under(self.path) for problem in found)


def probes_of(plan: Plan, registry: Registry, services: Services) -> list[Probe]:
    """A probe for each component of a plan whose type has one."""
    probes: list[Probe] = []
    for exchange in (exchange for group in plan.groups.values() for exchange in group):
        for path, component in planned_components(exchange, registry):
            if component.type.probe is not None:
                context = BuildContext(component.spec, registry, services, exchange.name)
                place = join_path(exchange.path, path)
                probes.append(Probe(place, component.type, component.descriptor, context))
    return probes


def source_probe(path: str, type_: ComponentType, descriptor: ConfigSourceDescriptor) -> Probe:
    """The probe of a configuration source."""
    return Probe(path, type_, descriptor, ConfigContext("queueconnector check"))


async def run_probes(probes: Sequence[Probe], timeout_s: float) -> list[Problem]:
    """The problems of all, which run at the same time and end after `timeout_s` at the latest."""
    found = await asyncio.gather(*(probe.run(timeout_s) for probe in probes))
    return [problem for problems in found for problem in problems]
