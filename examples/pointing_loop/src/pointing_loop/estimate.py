"""The mathematics of the processor: from pointings of one dish to its pointing offset."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pointing_loop.track import Floats, wrap_degrees

__all__ = ("MIN_SAMPLES", "Offset", "measure")

MIN_SAMPLES = 5
# Standard error of a median, and of a sigma taken from the median absolute deviation.
MEDIAN_EFFICIENCY = 1.2533
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Offset:
    """Cross-elevation and elevation with their one-sigma uncertainties, degrees; NaN: unknown."""

    cross: float
    cross_std: float
    elevation: float
    elevation_std: float

    @classmethod
    def unknown(cls) -> Self:
        """Return the offset of a dish that was not seen."""
        return cls(np.nan, np.nan, np.nan, np.nan)


def measure(
    azimuth: Floats, elevation: Floats, target_azimuth: Floats, target_elevation: Floats
) -> Offset:
    """Return how far a dish points beside its target: the median over the samples of a scan.

    The median, because a few wild samples must not move a dish. Samples that are not finite are
    left out; with fewer than ``MIN_SAMPLES`` left the result is all NaN. All angles are degrees.
    """
    cross = wrap_degrees(azimuth - target_azimuth) * np.cos(np.radians(target_elevation))
    along = elevation - target_elevation
    finite = np.isfinite(cross) & np.isfinite(along)
    if np.count_nonzero(finite) < MIN_SAMPLES:
        return Offset.unknown()
    return Offset(*_median_and_error(cross[finite]), *_median_and_error(along[finite]))


def _median_and_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    median = np.median(values)
    sigma = MAD_TO_SIGMA * np.median(np.abs(values - median))
    return float(median), float(MEDIAN_EFFICIENCY * sigma / np.sqrt(values.size))
