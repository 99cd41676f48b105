"""Hidden errors and how a mount lives with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointing_loop.mount import MEASUREMENT_ARCSEC, WIND_ARCSEC, Mount, true_residual
from pointing_loop.pointing_model import ARCSEC_PER_DEG, PointingModel
from pointing_loop.track import CALIBRATORS, calibrator, choose_calibrator, tai_now

NOW = tai_now()
SOURCE = choose_calibrator(NOW)

azimuths = st.floats(min_value=0, max_value=360)
elevations = st.floats(min_value=15, max_value=80)


def unit(azimuth: float, elevation: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Direction as a vector (north, east, up)."""
    az, el = np.radians(azimuth), np.radians(elevation)
    return np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)])


def separation_arcsec(one: tuple[float, float], other: tuple[float, float]) -> float:
    cross = np.linalg.norm(np.cross(unit(*one), unit(*other)))
    return float(np.degrees(np.arctan2(cross, unit(*one) @ unit(*other)))) * ARCSEC_PER_DEG


@given(azimuths, elevations)
def test_a_tilted_axis_turns_the_whole_sky(azimuth: float, elevation: float) -> None:
    tilt_arcsec = 100.0
    cross, along = PointingModel(an=tilt_arcsec).error(azimuth, elevation)
    angle = np.radians(tilt_arcsec / ARCSEC_PER_DEG)
    # North, east, up is a left-handed frame: rotations have the other sign.
    moved = unit(azimuth, elevation) - angle * np.cross([0, 1, 0], unit(azimuth, elevation))
    displaced = unit(
        azimuth + float(cross) / np.cos(np.radians(elevation)), elevation + float(along)
    )
    assert np.abs(displaced - moved / np.linalg.norm(moved)).max() < 1e-6


@given(azimuths, elevations)
def test_each_term_does_what_its_name_says(azimuth: float, elevation: float) -> None:
    cosine = np.cos(np.radians(elevation))

    def error(model: PointingModel) -> tuple[float, float]:
        cross, along = model.error(azimuth, elevation)
        return float(cross) * ARCSEC_PER_DEG, float(along) * ARCSEC_PER_DEG

    assert error(PointingModel(ia=60)) == pytest.approx((60 * cosine, 0))
    assert error(PointingModel(ie=60)) == pytest.approx((0, 60))
    assert error(PointingModel(ca=60)) == pytest.approx((60, 0))
    assert error(PointingModel(tf=60)) == pytest.approx((0, 60 * cosine))


@given(st.integers(min_value=0, max_value=10_000), azimuths, elevations)
def test_every_new_dish_is_off_by_much_more_than_the_wind(
    seed: int, azimuth: float, elevation: float
) -> None:
    model = PointingModel.random(np.random.default_rng(seed))
    cross, along = model.error(azimuth, min(elevation, 65.0))
    assert 5 * WIND_ARCSEC < np.hypot(cross, along) * ARCSEC_PER_DEG < 600


def test_the_same_seed_makes_the_same_dish() -> None:
    one, same, other = (Mount(SOURCE, seed).observe(NOW) for seed in (7, 7, 8))
    assert one == same
    assert one.beam != other.beam


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0, max_value=1000))
def test_the_offset_against_the_error_leaves_only_the_wind(seed: int) -> None:
    mount = Mount(SOURCE, seed)
    times = NOW + np.arange(100) / 10
    start = np.mean([true_residual(mount.observe(time)) for time in times], axis=0)
    offset = -start / ARCSEC_PER_DEG
    mount.load_static_offset(*offset)
    mount.load_static_offset(*offset)
    left = np.array([true_residual(mount.observe(time)) for time in times])
    assert np.abs(left.mean(axis=0)).max() < 1.5
    assert left.std(axis=0) == pytest.approx([WIND_ARCSEC, WIND_ARCSEC], rel=0.35)


def test_a_dish_reports_its_beam_with_measurement_noise() -> None:
    mount = Mount(SOURCE, seed=1)
    samples = [mount.observe(NOW + second / 10) for second in range(400)]
    noise = [(s.reported[1] - s.beam[1]) * ARCSEC_PER_DEG for s in samples]
    assert abs(np.mean(noise)) < 2
    assert np.std(noise) == pytest.approx(MEASUREMENT_ARCSEC, rel=0.15)


@pytest.mark.parametrize("name", [source.name for source in CALIBRATORS])
def test_the_residual_is_the_angle_on_the_sky(name: str) -> None:
    mount = Mount(calibrator(name), seed=3)
    for hour in range(0, 24, 4):
        sample = mount.observe(NOW + 3600.0 * hour)
        if 15 < sample.target[1] < 75:
            expected = separation_arcsec(sample.beam, sample.target)
            assert np.hypot(*true_residual(sample)) == pytest.approx(expected, rel=0.005)
