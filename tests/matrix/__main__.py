"""Runs the matrix: `python -m tests.matrix [--write | --product]`.

With `--write` the page of the documentation is renewed; with `--product` all sources run with all
sinks.
"""

from __future__ import annotations

import sys
import time

from devservices.kafka import KafkaBroker
from devservices.tango import TangoDatabase

from .combinations import halves, product
from .page import PAGE, render
from .services import matrix

began = time.monotonic()
with KafkaBroker() as broker, TangoDatabase() as database, matrix(broker, database) as services:
    cases = halves()
    refused = services.refusals(cases)
    wanted = [case for case in cases if case not in refused]
    if "--product" in sys.argv:
        wanted = product(refused)
    failures = []
    for failure in services.run(wanted):
        failures.append(failure)
        print(failure, flush=True)
sinks = sum(len(case.sinks) for case in wanted)
print(f"{sinks} combinations ran, {len(failures)} failed; {len(refused)} halves are refused")
print(f"{time.monotonic() - began:.0f} s")
if "--write" in sys.argv and not failures:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(refused), "utf-8")
sys.exit(bool(failures))
