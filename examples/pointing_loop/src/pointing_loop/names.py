"""Names and addresses of the devices of the simulated telescope, which has no Tango database."""

import re

__all__ = ("CONNECTOR", "dish_device", "dish_id", "offset_attribute")

CONNECTOR = "mid-sdp/queueconnector/01"


def dish_device(number: int) -> str:
    """Return the device name of a dish, counted from 1: ``mid-dish/dish-manager/ska001``."""
    return f"mid-dish/dish-manager/ska{number:03d}"


def dish_id(device_name: str) -> str:
    """Return the dish in a device name, in capitals: ``SKA001``.

    Raises ValueError for a name without one.
    """
    found = re.search(r"(?:ska|mkt)\d+", device_name.lower())
    if found is None:
        raise ValueError(f"no dish in {device_name!r}: expected a word such as ska001 or mkt063")
    return found.group().upper()


def offset_attribute(dish: str = "{dish_id}") -> str:
    """Return the connector's attribute with the offsets of a dish, or the template of all."""
    return f"pointing_cal_{dish}"
