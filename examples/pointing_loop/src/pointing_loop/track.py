"""Where a calibrator stands in the sky of the SKA-Mid site, computed offline by astropy.

Times are seconds of TAI since 2000-01-01T00:00:00 TAI, as dishes report them; angles are degrees.
Azimuth counts from north through east. There is no refraction.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time, TimeDelta
from astropy.utils import iers

__all__ = (
    "CALIBRATORS",
    "Calibrator",
    "Floats",
    "calibrator",
    "choose_calibrator",
    "datetime64_to_tai",
    "position",
    "tai_now",
    "tai_to_unix",
    "wrap_degrees",
)

Floats = npt.NDArray[np.float64]

LONGITUDE_DEG, LATITUDE_DEG, HEIGHT_M = 21.4437, -30.7128, 1086.0
CHUNK_S = 600
BEST_ELEVATION_DEG = 50.0

_EPOCH = np.datetime64("2000-01-01T00:00:00", "ns")
_computing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A bright compact radio source; its position is ICRS, in degrees."""

    name: str
    right_ascension: float
    declination: float


CALIBRATORS = (
    Calibrator("PKS 1934-638", 294.854275, -63.712675),
    Calibrator("PKS 0408-65", 62.084911, -65.752522),
    Calibrator("3C 273", 187.277915, 2.052388),
    Calibrator("3C 138", 80.291192, 16.639459),
    Calibrator("PKS 0023-26", 6.454833, -26.036833),
    Calibrator("Hydra A", 139.523546, -12.095556),
    Calibrator("PKS 1830-211", 278.416250, -21.061056),
    Calibrator("PKS 2326-477", 352.323750, -47.505278),
)


def calibrator(name: str) -> Calibrator:
    """Return the calibrator of that name; raises KeyError with the known names."""
    for candidate in CALIBRATORS:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in CALIBRATORS)
    raise KeyError(f"no calibrator {name!r}; known: {known}")


def choose_calibrator(tai_s: float, among: Iterable[Calibrator] = CALIBRATORS) -> Calibrator:
    """Return the calibrator that stands closest to a comfortable elevation at that time.

    Low sources set, and close to the zenith azimuth runs away.
    """

    def discomfort(candidate: Calibrator) -> float:
        _, elevation = _altaz(candidate, np.array([tai_s]))
        return abs(float(elevation[0]) - BEST_ELEVATION_DEG)

    return min(among, key=discomfort)


def position(source: Calibrator, tai_s: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return azimuth [0, 360) and elevation of ``source`` at each time.

    Interpolated, to a tenth of a milliarcsecond, between astropy's values a second apart: a full
    transformation takes a millisecond, too long for each sample of each dish.
    """
    times = np.asarray(tai_s, dtype=np.float64)
    azimuth, elevation = np.empty_like(times), np.empty_like(times)
    chunks = np.floor_divide(times, CHUNK_S).astype(np.int64)
    for chunk in np.unique(chunks):
        grid = _chunk(source, int(chunk))
        inside = chunks == chunk
        azimuth[inside] = np.interp(times[inside], grid[0], grid[1])
        elevation[inside] = np.interp(times[inside], grid[0], grid[2])
    return np.mod(azimuth, 360.0), elevation


def wrap_degrees(angle: npt.ArrayLike) -> Floats:
    """Return the same angle in [-180, 180)."""
    return np.mod(np.asarray(angle, dtype=np.float64) + 180.0, 360.0) - 180.0


def tai_now() -> float:
    """Return the computer's time as seconds of TAI since 2000-01-01T00:00:00 TAI."""
    return time.time() - _unix_minus_tai_s()


def tai_to_unix(tai_s: float) -> float:
    """Return the Unix time of that instant (leap seconds as of today)."""
    return tai_s + _unix_minus_tai_s()


def datetime64_to_tai(stamps: npt.NDArray[np.datetime64]) -> Floats:
    """Return datetime64 on the TAI scale as seconds since 2000-01-01T00:00:00 TAI."""
    seconds: Floats = (stamps - _EPOCH) / np.timedelta64(1, "s")
    return seconds


@cache
def _unix_minus_tai_s() -> int:
    unix = time.time()
    with iers.conf.set_temp("auto_download", False):
        elapsed = Time(unix, format="unix").tai - Time("2000-01-01T00:00:00", scale="tai")
    return round(unix - float(elapsed.to_value(u.s)))


@lru_cache(maxsize=32)
def _chunk(source: Calibrator, chunk: int) -> tuple[Floats, Floats, Floats]:
    times = chunk * CHUNK_S + np.arange(CHUNK_S + 1, dtype=np.float64)
    azimuth, elevation = _altaz(source, times)
    return times, np.unwrap(azimuth, period=360.0), elevation


def _altaz(source: Calibrator, tai_s: Floats) -> tuple[Floats, Floats]:
    site = EarthLocation.from_geodetic(LONGITUDE_DEG, LATITUDE_DEG, HEIGHT_M)
    sky = SkyCoord(source.right_ascension, source.declination, unit="deg")
    # The tables of Earth's rotation come with astropy; nothing is fetched, however old they are.
    with (
        _computing,
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "warn"),
    ):
        when = Time("2000-01-01T00:00:00", scale="tai") + TimeDelta(tai_s, format="sec")
        seen = sky.transform_to(AltAz(obstime=when, location=site))
        return np.asarray(seen.az.deg), np.asarray(seen.alt.deg)
