"""What travels through Kafka: topics, and the rows of pointing offsets.

The offsets are those of a pointing offset pipeline: one message a scan, a one-dimensional
structured array in msgpack-numpy, one row for each antenna. Angles are degrees.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ("ACHIEVED_POINTING", "OFFSET_FIELDS", "POINTING_OFFSET", "empty_offsets", "offset_dtype")

ACHIEVED_POINTING = "achieved_pointing"
"""Topic of the dishes' pointings: one record (antenna_name, ts, az, el) a message, npy."""

POINTING_OFFSET = "pointing_offset"
"""Topic of the offsets: one array a scan, msgpack_numpy."""

OFFSET_FIELDS = (
    "last_scan_index",
    "xel_offset",
    "xel_offset_std",
    "el_offset",
    "el_offset_std",
    "expected_width_h",
    "expected_width_v",
    "fitted_width_h",
    "fitted_width_h_std",
    "fitted_width_v",
    "fitted_width_v_std",
    "fitted_height",
    "fitted_height_std",
)
"""The thirteen float64 fields that follow ``antenna_name`` (U8)."""


def offset_dtype() -> np.dtype[Any]:
    """Return the dtype of one row: 14 fields, 136 octets."""
    return np.dtype([("antenna_name", "U8"), *((name, "f8") for name in OFFSET_FIELDS)])


def empty_offsets(antennas: list[str]) -> npt.NDArray[np.void]:
    """Return a row for each antenna with every number NaN: nothing known."""
    rows = np.zeros(len(antennas), dtype=offset_dtype())
    rows["antenna_name"] = antennas
    for name in OFFSET_FIELDS:
        rows[name] = np.nan
    return rows
