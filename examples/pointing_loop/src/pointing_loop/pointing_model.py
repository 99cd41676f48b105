"""The hidden pointing error of one dish: the usual terms of an altitude-azimuth mount.

A dish told to point at (azimuth, elevation) has its beam somewhere else, off by some arcminutes,
depending on where it looks. Nobody but the simulator knows these terms.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pointing_loop.track import Floats

__all__ = ("ARCSEC_PER_DEG", "PointingModel")

ARCSEC_PER_DEG = 3600.0


@dataclass(frozen=True, slots=True)
class PointingModel:
    """Error terms of a mount, in arcseconds, with their customary short names."""

    ia: float = 0.0
    """Zero point of the azimuth encoder."""
    ie: float = 0.0
    """Zero point of the elevation encoder."""
    ca: float = 0.0
    """Collimation: the beam is not at right angles to the elevation axis."""
    npae: float = 0.0
    """The axes are not at right angles to each other."""
    an: float = 0.0
    """Tilt of the azimuth axis to the north."""
    aw: float = 0.0
    """Tilt of the azimuth axis to the west."""
    tf: float = 0.0
    """Sag of the dish under its weight, at the horizon."""

    @classmethod
    def random(cls, generator: np.random.Generator) -> Self:
        """Draw a dish as it comes from the workshop: off by minutes of arc."""
        size, direction = generator.uniform(100.0, 260.0), generator.uniform(0.0, 2 * np.pi)
        ca, npae, an, aw = (float(term) for term in generator.uniform(-15.0, 15.0, size=4))
        return cls(
            ia=float(size * np.cos(direction)),
            ie=float(size * np.sin(direction)),
            ca=ca,
            npae=npae,
            an=an,
            aw=aw,
            tf=float(generator.uniform(10.0, 30.0)),
        )

    def error(self, azimuth: npt.ArrayLike, elevation: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the beam's cross-elevation and elevation error, degrees, at a commanded position.

        Cross-elevation is the azimuth error times cos(elevation): an angle on the sky.
        """
        az, el = np.radians(azimuth), np.radians(elevation)
        tilt = self.an * np.sin(az) + self.aw * np.cos(az)
        cross = self.ia * np.cos(el) + self.ca + (self.npae + tilt) * np.sin(el)
        along = self.ie + self.an * np.cos(az) - self.aw * np.sin(az) + self.tf * np.cos(el)
        return np.asarray(cross / ARCSEC_PER_DEG), np.asarray(along / ARCSEC_PER_DEG)
