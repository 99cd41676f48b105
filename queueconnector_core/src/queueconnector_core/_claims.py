"""No two sinks claim the same."""

from __future__ import annotations

from collections.abc import Sequence

from queueconnector_core.component import Claim, Services
from queueconnector_core.errors import ConfigError, Problem

__all__ = ("check_claims",)


def check_claims(
    claims: Sequence[Claim],
    held: Sequence[tuple[str, Claim]],
    services: Services,
    problems: list[Problem],
) -> None:
    """Add a problem for each claim that another one, or a host, is in the way of."""
    others = {(type(claim), claim.name.casefold()): group for group, claim in held}
    seen: dict[tuple[type[Claim], str], Claim] = {}
    for claim in claims:
        key = (type(claim), claim.name.casefold())
        first = seen.setdefault(key, claim)
        if first is not claim or key in others:
            where = f"at {first.path}" if first is not claim else f"by group {others[key]}"
            text = f"{claim.resource} {claim.name!r} is already used {where}"
            problems.append(Problem(claim.path, f"{text}; names must differ, case ignored"))
    for host in services.resource_hosts():
        try:
            host.check([claim for claim in claims if isinstance(claim, host.claim_type)])
        except ConfigError as error:
            problems.extend(error.problems)
