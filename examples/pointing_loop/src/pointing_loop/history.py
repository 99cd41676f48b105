"""What happened to each dish during the run, and whether its error fell."""

from dataclasses import dataclass, field

import numpy as np

from pointing_loop.scans import Scans
from pointing_loop.track import Floats

__all__ = ("REQUIRED_FACTOR", "Correction", "DishHistory", "Residual", "Result", "result")

REQUIRED_FACTOR = 3.0
"""The loop works when the error of each dish fell at least this much."""


@dataclass(frozen=True, slots=True)
class Residual:
    """The true pointing error at one instant (TAI seconds since 2000), in arcseconds."""

    tai_s: float
    cross: float
    elevation: float

    @property
    def distance(self) -> float:
        """The angle on the sky between beam and source, arcseconds."""
        return float(np.hypot(self.cross, self.elevation))


@dataclass(frozen=True, slots=True)
class Correction:
    """An offset that a dish applied: when (TAI seconds), of which scan, and what (degrees)."""

    tai_s: float
    scan: int
    cross: float
    elevation: float


@dataclass(slots=True)
class DishHistory:
    """Grows from Tango's event thread while others read: only ever appended to."""

    dish: str
    state: str = "UNKNOWN"
    azimuth: float = np.nan
    elevation: float = np.nan
    residuals: list[Residual] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)

    def distances(self, start_s: float, end_s: float) -> Floats:
        """Return the residuals within a stretch of time, arcseconds."""
        found = [known.distance for known in self.residuals if start_s <= known.tai_s < end_s]
        return np.array(found, dtype=np.float64)

    def rms(self, start_s: float, end_s: float) -> float:
        """Return the root mean square residual of that time, arcseconds; NaN without samples."""
        distances = self.distances(start_s, end_s)
        return float(np.sqrt(np.mean(distances**2))) if distances.size else np.nan


@dataclass(frozen=True, slots=True)
class Result:
    """RMS residual of one dish in the first and in the last scan, arcseconds."""

    dish: str
    first: float
    last: float
    corrections: int

    @property
    def factor(self) -> float:
        """How much smaller the error became."""
        return self.first / self.last

    @property
    def problem(self) -> str | None:
        """Why this is a failure, or None."""
        if np.isnan(self.factor):
            return f"{self.dish}: no pointings in the first or in the last scan"
        if not self.corrections:
            return f"{self.dish}: no offset ever arrived"
        if self.factor < REQUIRED_FACTOR:
            return (
                f"{self.dish}: the error fell by a factor of {self.factor:.1f} only, "
                f"from {self.first:.0f} to {self.last:.0f} arcsec"
            )
        return None


def result(history: DishHistory, scans: Scans, last_scan: int) -> Result:
    """Return what became of a dish between scan 1 and ``last_scan``."""

    def rms(scan: int) -> float:
        return history.rms(scans.end(scan - 1), scans.end(scan))

    return Result(history.dish, rms(1), rms(last_scan), len(history.corrections))
