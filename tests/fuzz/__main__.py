"""`python -m tests.fuzz`: the long form, all targets at once; exit code 1 after any finding.

What was learned stays in `.fuzz`, and the next run goes on from there.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

TARGETS: Final = ("decoders", "configurations")
KEPT: Final = Path(__file__).parents[2] / ".fuzz"
HANG_S: Final = 10
"""Wall time after which an input hangs; what is merely slow is found by its CPU time."""
RSS_MIB: Final = 1024


def main() -> int:
    """Fuzz every target for so many minutes, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--only", choices=TARGETS, help="one target (default: all at once)")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("The long form needs atheris, which is built for Linux on x86-64 only. The short")
        print("form runs everywhere: make test ARGS=tests/fuzz")
        return 2
    targets = [options.only] if options.only else TARGETS
    running = {target: _start(target, options.minutes * 60) for target in targets}
    return max(_result(target, process) for target, process in running.items())


def _start(target: str, seconds: float) -> subprocess.Popen[bytes]:
    KEPT.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", target, str(KEPT / target)]
    command += [f"-max_total_time={seconds:.0f}", f"-timeout={HANG_S}", f"-rss_limit_mb={RSS_MIB}"]
    command += [f"-artifact_prefix={KEPT}/{target}-", "-print_final_stats=1", "-max_len=4096"]
    with _log(target).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=KEPT.parent)


def _result(target: str, process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; 0 when nothing was found."""
    failed = process.wait() != 0
    text = _log(target).read_text(errors="replace")
    inputs = re.search(r"number_of_executed_units: (\d+)", text)
    print(f"{target}: {inputs[1] if inputs else 'unknown'} inputs, ", end="")
    print(f"FAILED, see {_log(target)}\n{text[-4000:]}" if failed else "no finding")
    return int(failed)


def _log(target: str) -> Path:
    return KEPT / f"{target}.log"


if __name__ == "__main__":
    sys.exit(main())
