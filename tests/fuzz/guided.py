"""`python -m tests.fuzz.guided TARGET …`: one target under coverage guidance until it fails.

The other arguments are libFuzzer's. It keeps every input that reaches new code and damages those
further; it stops at the first finding and writes the input down.
"""

from __future__ import annotations

import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import atheris

with atheris.instrument_imports(include=["queueconnector_core", "queueconnector_tango"]):
    from tests.fuzz.corpus import CONFIGURATIONS, DECODERS, HOSTILE_CONFIGURATIONS
    from tests.fuzz.mutations import damaged_document
    from tests.fuzz.targets import decode, read_configuration, within_limits

__all__ = ("TARGETS", "main", "write_seeds")

SELECTOR: Final = 2
"""Octets before a message that choose the decoder, so that one run goes over all of them."""


def _decode_any(data: bytes) -> None:
    case = DECODERS[int.from_bytes(data[:SELECTOR], "big") % len(DECODERS)]
    try:
        decode(case, data[SELECTOR:])
    except Exception as error:
        error.add_note(f"{case}: {data[SELECTOR:]!r}")
        raise


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "decoders": _decode_any,
    "configurations": read_configuration,
}


def write_seeds(target: str, folder: Path) -> None:
    """Lay the corpus of a target into `folder`, one file an input."""
    if target == "configurations":
        seeds = CONFIGURATIONS + [bad for bad in HOSTILE_CONFIGURATIONS if len(bad) < 5000]
    else:
        seeds = [
            number.to_bytes(SELECTOR, "big") + wire
            for number, case in enumerate(DECODERS)
            for wire in (*case.valid, *(bad for bad in case.hostile if len(bad) < 5000))
        ]
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number:05}").write_bytes(seed)


def _mutate_document(data: bytes, max_size: int, seed: int) -> bytes:
    random = Random(seed)  # noqa: S311 - libFuzzer repeats a run by its seed
    if random.random() < 0.3:
        found: bytes = atheris.Mutate(data, max_size)
        return found
    return damaged_document(data, random)[:max_size]


def main() -> None:
    """Run until libFuzzer's time is over or something is found."""
    target, corpus, *arguments = sys.argv[1:]
    write_seeds(target, Path(corpus))
    warnings.simplefilter("ignore")
    tracemalloc.start()
    mutator = {"custom_mutator": _mutate_document} if target == "configurations" else {}
    atheris.Setup(
        [sys.argv[0], corpus, *arguments],
        lambda data: within_limits(TARGETS[target], data),
        **mutator,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
