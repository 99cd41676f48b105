"""One dish following its target: commanded position, hidden error, wind, and what it reports."""

from dataclasses import dataclass

import numpy as np

from pointing_loop.pointing_model import ARCSEC_PER_DEG, PointingModel
from pointing_loop.track import Calibrator, position, wrap_degrees

__all__ = ("Mount", "Sample", "true_residual")

WIND_ARCSEC = 2.0
MEASUREMENT_ARCSEC = 8.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One instant of one dish; angles in degrees, time in TAI seconds since 2000."""

    tai_s: float
    target: tuple[float, float]
    """Azimuth and elevation of the source."""
    beam: tuple[float, float]
    """Azimuth and elevation where the beam truly points. Only the simulator knows."""
    reported: tuple[float, float]
    """The measured direction of the beam: the truth with measurement noise."""


class Mount:
    """A dish that tracks ``source`` with a hidden error and a static offset to work against it.

    ``seed`` decides the hidden error and the noise.
    """

    def __init__(self, source: Calibrator, seed: int) -> None:
        self._source = source
        self._noise = np.random.default_rng(seed)
        self._model = PointingModel.random(self._noise)
        self.cross_offset = 0.0
        """Static offset in cross-elevation, degrees, added to the commanded position."""
        self.elevation_offset = 0.0
        """Static offset in elevation, degrees."""

    def load_static_offset(self, cross: float, elevation: float) -> None:
        """Replace the static offset (degrees): loading the same one twice changes nothing."""
        self.cross_offset, self.elevation_offset = cross, elevation

    def observe(self, tai_s: float) -> Sample:
        """Move to where the source is at ``tai_s`` and look."""
        azimuth, elevation = (float(angle) for angle in position(self._source, tai_s))
        commanded = _displaced((azimuth, elevation), self.cross_offset, self.elevation_offset)
        error = self._model.error(*commanded)
        wind, measurement = self._noise.normal(size=(2, 2)) / ARCSEC_PER_DEG
        beam = _displaced(
            commanded,
            float(error[0] + WIND_ARCSEC * wind[0]),
            float(error[1] + WIND_ARCSEC * wind[1]),
        )
        reported = _displaced(
            beam, MEASUREMENT_ARCSEC * measurement[0], MEASUREMENT_ARCSEC * measurement[1]
        )
        return Sample(tai_s, (azimuth, elevation), beam, reported)


def true_residual(sample: Sample) -> tuple[float, float]:
    """Return how far the beam truly is from the source: cross-elevation and elevation, arcsec."""
    azimuth = float(wrap_degrees(sample.beam[0] - sample.target[0]))
    cross = azimuth * float(np.cos(np.radians(sample.target[1])))
    return cross * ARCSEC_PER_DEG, (sample.beam[1] - sample.target[1]) * ARCSEC_PER_DEG


def _displaced(direction: tuple[float, float], cross: float, along: float) -> tuple[float, float]:
    azimuth, elevation = direction
    cosine = float(np.cos(np.radians(elevation)))
    return float((azimuth + cross / cosine) % 360.0), elevation + float(along)
