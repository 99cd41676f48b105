"""Every option of the SKA LMC Queue Connector 4.0.4 is one of ours, with its default and its form.

The table is that release's own schema. Where our default differs in writing, not in meaning, the
last column says how it is written here.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import ExchangeDescriptor, QueueConnectorDescriptor
from queueconnector_core.hints import options_of
from queueconnector_core.structure import make_converter
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor
from queueconnector_kafka.timestamps import TimestampOptions
from queueconnector_tango.descriptors import TangoAttributeDescriptor
from write_schema import standard_registry

REGISTRY = standard_registry()
CONVERTER = make_converter(REGISTRY)

REQUIRED = attrs.NOTHING
WORDS = ["a"]
TEXTS = ["a", ["a", "b"]]
DATA: list[Any] = [["label", "octets"], [1, 2.5], [[0, 0], [0, 1]], {"a": 1}, 1, 1.5, True, "text"]
ENCODINGS = ["utf-8", "ascii", "python", "json", "msgpack_numpy", "npy", "carray"]
DTYPES = ["str", "float64", [["a", "U8"], ["b", "float64", [3]]]]
TIMES: list[Any] = [{}, {"slices": [0, [1, None, 2]], "key": "ts", "reducer": "mean"}]
SOURCE = {"type": "InMemorySource", "data": []}
SINK = {"type": "InMemorySink", "key": "a"}
EXCHANGE = {"source": SOURCE, "sink": SINK}
ATTRIBUTE = {"attribute_name": "a", "dtype": "int"}

# Where it stands: {option: (default, values that are accepted)}
SEED: dict[str, dict[str, tuple[Any, list[Any]]]] = {
    "QueueConnectorDescriptor": {
        "exchanges": (None, [{}, {"group": [EXCHANGE]}, [], [EXCHANGE], None]),
    },
    "ExchangeDescriptor": {
        "dtype": ("str", DTYPES),
        "shape": ([], [[], [2, 2], [-1]]),
        "source": (REQUIRED, [SOURCE, [SOURCE, SOURCE]]),
        "sink": (REQUIRED, [SINK]),
        "pipe": ({"type": "DefaultPipe"}, [{"type": "DefaultPipe"}]),
    },
    "InMemorySource": {"data": (REQUIRED, [[], DATA]), "delay": (0, [0, 0.5])},
    "TangoSubscriptionSource": {
        "device_name": (REQUIRED, ["a/b/c"]),
        "attribute_name": (REQUIRED, WORDS),
        "etype": (0, [0, 2, 3, 4]),
        "stateless": (True, [True, False]),
    },
    "TangoPointingSubscriptionSource": {
        "device_name": (REQUIRED, ["a/b/c"]),
        "attribute_name": (REQUIRED, WORDS),
        "etype": (0, [0, 2, 3, 4]),
        "stateless": (True, [True, False]),
    },
    "KafkaConsumerSource": {
        "servers": (REQUIRED, TEXTS),
        "topic": (REQUIRED, WORDS),
        "encoding": ("python", ENCODINGS),
    },
    "DefaultPipe": {},
    "BufferWithTimePipe": {"timespan": (0, [0, 1, 0.5])},
    "InMemorySink": {"key": (REQUIRED, WORDS)},
    "TangoLocalAttributeSink": {
        "attribute_name": (REQUIRED, WORDS),
        "default_value": ("", DATA),
    },
    "TangoRemoteAttributeSink": {
        "device_name": (REQUIRED, ["a/b/c"]),
        "attribute_name": (REQUIRED, WORDS),
    },
    "TangoArrayScatterAttributeSink": {
        "attribute_names": (REQUIRED, [["a", "b"]]),
        "axis": (0, [0, 1, -1]),
        "default_value": ("", DATA),
        "attribute_shape_names": (None, [None, ["a", "b"]]),
        "indices": (None, [None, [1, 2]]),
    },
    "TangoObjectScatterAttributeSink": {"attributes": (REQUIRED, [[ATTRIBUTE]])},
    "TangoAttributeDescriptor": {
        "attribute_name": (REQUIRED, WORDS),
        "dtype": (REQUIRED, DTYPES),
        "shape": ([], [[], [2]]),
        "path": ("@", ["@", "a.b"]),
        "filter": (None, [None, "a == 'b'"]),
        "default_value": ("", DATA),
    },
    "KafkaProducerSink": {
        "servers": (REQUIRED, TEXTS),
        "topic": (REQUIRED, WORDS),
        "encoding": ("python", ENCODINGS),
        "message_max_bytes": (1048576, [1, 1048576]),
        "timestamp_options": (None, [None, *TIMES]),
    },
    "TimestampOptions": {
        "slices": ([], [[], [0], [[0, None, None]]]),
        "key": (None, [None, "ts"]),
        "reducer": (None, [None, "min", "max", "mean"]),
    },
}

DIFFERENT: dict[str, Any] = {
    "pipe": (),  # values pass unchanged
    "encoding": None,  # python; of dtype bytes it would be a label, which nobody gave
    "default_value": None,  # no value before the first record; "" can still be given
    "slices": (),
}

NOT_COMPONENTS: dict[str, type] = {
    "QueueConnectorDescriptor": QueueConnectorDescriptor,
    "ExchangeDescriptor": ExchangeDescriptor,
    "TangoAttributeDescriptor": TangoAttributeDescriptor,
    "TimestampOptions": TimestampOptions,
}
DEFAULTS = [(name, option, SEED[name][option][0]) for name in SEED for option in SEED[name]]
FORMS = [(name, option, SEED[name][option][1]) for name in SEED for option in SEED[name]]


def class_of(name: str) -> type:
    if name in NOT_COMPONENTS:
        return NOT_COMPONENTS[name]
    kind = next(kind for kind in ComponentKind if name.endswith(kind.value))
    return REGISTRY.lookup(kind, name).descriptor_class


@pytest.mark.parametrize(("name", "option", "default"), DEFAULTS)
def test_the_default_is_the_same(name: str, option: str, default: object) -> None:
    ours = options_of(class_of(name))[option].default
    made = ours.factory() if hasattr(ours, "factory") else ours
    if default is REQUIRED:
        assert made is REQUIRED
    else:
        assert made == DIFFERENT.get(option, default)


@pytest.mark.parametrize(("name", "option", "values"), FORMS)
def test_each_form_of_a_value_is_accepted(name: str, option: str, values: list[object]) -> None:
    required = {
        other: forms[-1] for other, (default, forms) in SEED[name].items() if default is REQUIRED
    }
    for value in values:
        read: object = CONVERTER.structure(required | {option: value}, class_of(name))
        assert hasattr(read, option)


def test_our_own_options_can_all_be_left_out() -> None:
    added = {
        f"{name}.{option.name}": option.default
        for name, options in SEED.items()
        for option in options_of(class_of(name)).values()
        if option.name not in options
    }
    assert [name for name, default in added.items() if default is REQUIRED] == []


def test_every_component_of_that_release_is_there() -> None:
    kinds = (ComponentKind.SOURCE, ComponentKind.PIPE, ComponentKind.SINK)
    ours = {name for kind in kinds for name in REGISTRY.names(kind)}
    assert ours >= SEED.keys() - NOT_COMPONENTS.keys()


def test_an_encoding_that_is_left_out_is_python() -> None:
    source = KafkaConsumerSourceDescriptor(("a",), "a")
    spec = DataSpec.of("float64", [3])
    codec, python = source.codec(spec, REGISTRY), resolve_codec("python", spec, REGISTRY)
    assert type(codec) is type(python)
