"""The sky track, against formulas that know nothing of astropy."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointing_loop.track import (
    CALIBRATORS,
    HEIGHT_M,
    LATITUDE_DEG,
    LONGITUDE_DEG,
    Calibrator,
    calibrator,
    choose_calibrator,
    datetime64_to_tai,
    position,
    tai_now,
    tai_to_unix,
    wrap_degrees,
)

TOLERANCE_DEG = 0.015  # The formulas below leave out nutation and aberration: up to 40 arcsec.
DAY_S = 86400.0
NOW = tai_now()


def julian_date(tai_s: float) -> float:
    return tai_to_unix(tai_s) / DAY_S + 2440587.5


def precessed(ra_deg: float, dec_deg: float, jd: float) -> tuple[float, float]:
    """Position of date from J2000 (rotation by the IAU 1976 angles), in radians."""
    t = (jd - 2451545.0) / 36525.0
    zeta, z, theta = (
        np.radians(seconds / 3600)
        for seconds in (
            2306.2181 * t + 0.30188 * t**2,
            2306.2181 * t + 1.09468 * t**2,
            2004.3109 * t - 0.42665 * t**2,
        )
    )
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    a = np.cos(dec) * np.sin(ra + zeta)
    b = np.cos(theta) * np.cos(dec) * np.cos(ra + zeta) - np.sin(theta) * np.sin(dec)
    c = np.sin(theta) * np.cos(dec) * np.cos(ra + zeta) + np.cos(theta) * np.sin(dec)
    return float(np.arctan2(a, b) + z), float(np.arcsin(c))


def low_precision_position(source: Calibrator, tai_s: float) -> tuple[float, float]:
    """Azimuth and elevation from mean sidereal time and the spherical triangle, degrees."""
    jd = julian_date(tai_s)
    ra, dec = precessed(source.right_ascension, source.declination, jd)
    sidereal = np.radians(280.46061837 + 360.98564736629 * (jd - 2451545.0) + LONGITUDE_DEG)
    hour_angle, latitude = sidereal - ra, np.radians(LATITUDE_DEG)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    azimuth = np.arctan2(
        -np.cos(dec) * np.sin(hour_angle),
        np.cos(latitude) * np.sin(dec) - np.sin(latitude) * np.cos(dec) * np.cos(hour_angle),
    )
    return float(np.degrees(azimuth) % 360), float(np.degrees(np.arcsin(sine)))


@settings(max_examples=50, deadline=None)
@given(
    source=st.sampled_from(CALIBRATORS),
    offset_s=st.floats(min_value=-DAY_S, max_value=DAY_S),
)
def test_the_track_agrees_with_sidereal_time_and_spherical_trigonometry(
    source: Calibrator, offset_s: float
) -> None:
    azimuth, elevation = position(source, NOW + offset_s)
    expected_azimuth, expected_elevation = low_precision_position(source, NOW + offset_s)
    assert float(elevation) == pytest.approx(expected_elevation, abs=TOLERANCE_DEG)
    cross = wrap_degrees(azimuth - expected_azimuth) * np.cos(np.radians(expected_elevation))
    assert float(cross) == pytest.approx(0.0, abs=TOLERANCE_DEG)


def test_the_site_is_ska_mid() -> None:
    assert (LATITUDE_DEG, LONGITUDE_DEG) == (-30.7128, 21.4437)
    assert 1050 < HEIGHT_M < 1090


def test_a_source_crossing_north_does_not_swing_round() -> None:
    source = calibrator("3C 273")
    day = NOW + np.arange(0.0, DAY_S, 30.0)
    culmination = max(day, key=lambda time: low_precision_position(source, time)[1])
    seconds = culmination + np.arange(-60.0, 60.0, 0.1)
    azimuth, _ = position(source, seconds)
    assert azimuth.min() < 1
    assert azimuth.max() > 359
    steps = wrap_degrees(np.diff(azimuth))
    assert np.abs(steps).max() < 0.01


def test_the_track_has_no_step_where_one_stretch_of_its_grid_ends() -> None:
    boundary = (NOW // 600 + 1) * 600
    for angle in position(CALIBRATORS[0], boundary + np.array([-0.01, 0.0, 0.01])):
        assert np.ptp(angle) < 0.0005


def test_at_any_time_some_calibrator_stands_well() -> None:
    for hour in range(24):
        when = NOW + hour * 3600.0
        _, elevation = position(choose_calibrator(when), when)
        assert 30 < float(elevation) < 65


def test_time_is_counted_in_tai_from_the_year_2000() -> None:
    instant = datetime(2024, 8, 1, 18, 49, 46, 224727, tzinfo=UTC)
    unix = tai_to_unix(775853423.2247269)
    assert datetime.fromtimestamp(unix, UTC) - instant < timedelta(microseconds=2)
    stamps = np.array(["2000-01-01T00:00:00", "2024-08-01T18:50:23.25"], dtype="datetime64[ns]")
    assert datetime64_to_tai(stamps).tolist() == [0.0, 775853423.25]


def test_an_unknown_calibrator_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"'Sirius'.*3C 273"):
        calibrator("Sirius")


@given(st.floats(min_value=-1e4, max_value=1e4))
def test_wrapped_angles_are_the_same_direction(angle: float) -> None:
    wrapped = float(wrap_degrees(angle))
    assert -180 <= wrapped < 180
    assert np.cos(np.radians(wrapped - angle)) == pytest.approx(1.0)
