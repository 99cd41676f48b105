"""What the demo tells Queue Connector: the two exchanges that close the loop."""

from collections.abc import Mapping
from typing import Any

from pointing_loop.messages import ACHIEVED_POINTING, OFFSET_FIELDS, POINTING_OFFSET
from pointing_loop.names import offset_attribute

__all__ = ("configuration",)


def configuration(kafka: str, dishes: Mapping[str, str]) -> dict[str, Any]:
    """Return the connector's configuration, ready for ``json.dumps``.

    ``kafka`` is a broker (``host:port``), ``dishes`` the TRL of each dish by its name.
    """
    return {"exchanges": [_pointings_to_kafka(kafka, dishes), _offsets_to_tango(kafka, dishes)]}


def _pointings_to_kafka(kafka: str, dishes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "dtype": [
            ["antenna_name", "U8"],
            ["ts", "datetime64[ns]"],
            ["az", "float64"],
            ["el", "float64"],
        ],
        "source": [
            {
                "type": "TangoPointingSubscriptionSource",
                "device_name": trl,
                "attribute_name": "achievedPointing",
            }
            for trl in dishes.values()
        ],
        "sink": {
            "type": "KafkaProducerSink",
            "servers": kafka,
            "topic": ACHIEVED_POINTING,
            "encoding": "npy",
        },
    }


def _offsets_to_tango(kafka: str, dishes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "dtype": [["antenna_name", "U8"], *([name, "float64"] for name in OFFSET_FIELDS)],
        "shape": [len(dishes)],
        "source": {
            "type": "KafkaConsumerSource",
            "servers": kafka,
            "topic": POINTING_OFFSET,
            "encoding": "msgpack_numpy",
        },
        "sink": {
            "type": "TangoObjectScatterAttributeSink",
            "attributes": [_offset_attribute(dish) for dish in dishes],
        },
    }


def _offset_attribute(dish: str) -> dict[str, Any]:
    row = f"[?antenna_name=='{dish}']"
    return {
        "attribute_name": offset_attribute(dish),
        "dtype": "float64",
        "shape": [3],
        "path": f"{row} | [0].[last_scan_index, xel_offset, el_offset]",
        "filter": f"length({row}) > `0`",
        "default_value": [0.0, 0.0, 0.0],
    }
