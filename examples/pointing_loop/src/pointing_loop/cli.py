"""Command line of the demo: ``python -m pointing_loop``."""

import signal
import sys
from pathlib import Path
from types import FrameType

import cyclopts
import tango
from rich.console import Console
from rich.text import Text

from devservices import ServiceFailed, ServiceUnavailable
from pointing_loop.loop import run
from pointing_loop.options import Options

__all__ = ("demo", "main")

INTERRUPTED = 130
TERMINATED = 143

app = cyclopts.App(name="pointing_loop", version_flags=())


@app.default
def demo(
    *,
    dishes: int = 4,
    duration: float = 60.0,
    rate: float = 10.0,
    scan: float = 5.0,
    kafka: str | None = None,
    picture: Path = Path("pointing_residuals.png"),
    seed: int = 0,
    web_port: int = 0,
    web_token_file: Path | None = None,
) -> int:
    """Close the pointing loop of a small simulated telescope through Queue Connector.

    Dishes follow a calibrator with hidden pointing errors. Their pointings go through Queue
    Connector to Kafka, a processor estimates offsets, these go through Kafka and Queue Connector
    back to the dishes, and the error falls. The exit code is 0 when it fell to less than a third
    for each dish, 1 when not, 130 after Ctrl-C.

    Args:
        dishes: Number of dishes.
        duration: How long to observe, in seconds.
        rate: Pointings a second from each dish.
        scan: Length of a scan in seconds; offsets come once a scan.
        kafka: Address host:port of a broker of yours to use; without it, one is started.
        picture: Where to write the picture (.png, .svg or .pdf).
        seed: Decides the hidden pointing errors.
        web_port: Where Queue Connector serves its status page on this machine; 0: any free port.
        web_token_file: A file with the token of those who may pause and restart its exchanges.
    """
    console = Console()
    try:
        options = Options(
            dishes, duration, rate, scan, kafka, picture, seed, web_port, web_token_file
        )
        problems = run(options, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return INTERRUPTED
    except (ServiceFailed, ServiceUnavailable, TimeoutError, ValueError) as error:
        problems = [str(error)]
    except tango.DevFailed as error:
        problems = [f"{error.args[0].reason}: {error.args[0].desc}"]
    for problem in problems:
        console.print(Text.assemble(("failed: ", "red"), problem), soft_wrap=True)
    return 1 if problems else 0


def _terminate(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def main() -> None:
    """Run the demo and exit with its code."""
    # As an exception, so that a termination stops all parts in order as Ctrl-C does.
    signal.signal(signal.SIGTERM, _terminate)
    app()
