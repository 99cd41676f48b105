"""What a run of the demo is asked to do."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ("LEAST_SCANS", "Options")

LEAST_SCANS = 4
"""The first scan shows the uncorrected dishes; the error needs three more to fall."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line; times in seconds.

    Raises ValueError, in words for the user, when they do not make a run.
    """

    dishes: int
    duration: float
    rate: float
    scan: float
    kafka: str | None
    picture: Path
    seed: int
    web_port: int = 0
    web_token_file: Path | None = None

    def __post_init__(self) -> None:
        if self.dishes < 1:
            raise ValueError(f"--dishes {self.dishes}: at least 1 dish")
        if not 2 <= self.rate <= 100:
            raise ValueError(f"--rate {self.rate:g}: allowed are 2 to 100 pointings a second")
        if self.scan * self.rate < 10:
            raise ValueError(
                f"--scan {self.scan:g}: too short for 10 pointings at --rate {self.rate:g}"
            )
        if self.duration < LEAST_SCANS * self.scan:
            raise ValueError(
                f"--duration {self.duration:g}: too short for the error to fall; "
                f"at least {LEAST_SCANS} scans of {self.scan:g} s"
            )
        if not 0 <= self.web_port < 65_536:
            raise ValueError(f"--web-port {self.web_port}: allowed are 0 (any free port) to 65535")
        if not self.picture.absolute().parent.is_dir():
            raise ValueError(f"--picture {self.picture}: no directory {self.picture.parent}")
        if self.picture.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--picture {self.picture}: allowed endings are .png, .svg and .pdf")

    @property
    def scans(self) -> int:
        """The number of whole scans in the run."""
        return int(self.duration / self.scan + 1e-9)
