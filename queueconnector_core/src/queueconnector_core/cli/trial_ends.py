"""What stands in place of the far ends when a configuration is tested."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from typing import Annotated, Any, cast, get_args

import attrs
from msgspec import Meta

from queueconnector_core.codecs.jsontext import JsonCodec
from queueconnector_core.component import BuildContext, ComponentKind, ComponentType
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, RecordError, RecordErrors
from queueconnector_core.hints import COMPONENT_BASES, options_of
from queueconnector_core.plan import ExchangePlan
from queueconnector_core.protocols import Codec, Decoder
from queueconnector_core.provenance import time_of, time_text
from queueconnector_core.record import Batch, Metadata, Original, Record, Value
from queueconnector_core.registry import Registry

__all__ = (
    "Given",
    "Recorded",
    "Recorder",
    "TrialSource",
    "expected_form",
    "recorded_form",
    "with_recorders",
)


@attrs.frozen
class Given:
    """A record as it is written in a test: its value, or the octets that stand for it."""

    value: Annotated[
        Any,
        Meta(
            description="The value, as JSON, in the dtype and shape that the exchange has there; "
            'octets of dtype bytes are ["label", "base64 text"].'
        ),
    ] = None
    text: Annotated[
        str | None, Meta(description="In place of a value: its encoded form, which is text.")
    ] = None
    octets: Annotated[
        str | None, Meta(description="In place of a value: its encoded form, in base64.")
    ] = None
    key: Annotated[str | None, Meta(description="The key of the record.")] = None
    headers: Annotated[
        Mapping[str, str] | None,
        Meta(description="The headers of the record; of an output those that have to be there."),
    ] = None
    timestamp: Annotated[
        str | None, Meta(description="The time of the record, UTC: 2026-01-31T12:00:00Z.")
    ] = None
    source: Annotated[
        int, Meta(description="Of an input: which of several sources gives it.", ge=0)
    ] = 0

    def encoded(self) -> bytes | None:
        """The octets that are given in place of a value; raises `ConfigError`."""
        if self.text is not None and self.octets is not None:
            raise ConfigError.at("octets", "there is a text already; leave one of them out")
        if self.octets is None:
            return None if self.text is None else self.text.encode()
        try:
            return base64.b64decode(self.octets, validate=True)
        except ValueError:
            raise ConfigError.at("octets", "is no base64 text") from None

    def metadata(self) -> Metadata:
        """What is known of the record beside its value; raises `ConfigError`."""
        time_ns = None if self.timestamp is None else time_of(self.timestamp)
        if self.timestamp is not None and time_ns is None:
            raise ConfigError.at("timestamp", f"found {self.timestamp!r}, which is no time")
        headers = tuple((name, text.encode()) for name, text in (self.headers or {}).items())
        key = None if self.key is None else self.key.encode()
        octets = self.encoded()
        original = None if octets is None else Original(octets)
        return Metadata(time_ns, key=key, headers=headers, original=original)


class TrialSource:
    """Gives the inputs of a case, each in a batch of its own, decoded as the real source would."""

    def __init__(self, plan: ExchangePlan, inputs: Sequence[Given], registry: Registry) -> None:
        """Raises `ConfigError` at each input that the exchange cannot be given."""
        self._spec = plan.sources[0].spec
        self._inputs = []
        for index, given in enumerate(inputs):
            try:
                decode = _decoder(plan, given.source, registry)
                self._inputs.append((given, given.encoded(), given.metadata(), decode))
                if given.encoded() is not None and decode is None:
                    text = "its source receives values, not octets; give a value"
                    raise ConfigError.at("", text)
            except ConfigError as error:
                raise error.under(f"inputs[{index}]") from None

    async def start(self) -> None:
        """Nothing to connect."""

    async def read(self) -> AsyncIterator[Batch]:
        """The inputs; one that is no value of the exchange is a failure."""
        convert = converter(self._spec, broadcast=not self._spec.is_dynamic)
        for given, octets, metadata, decode in self._inputs:
            try:
                if octets is not None and decode is not None:
                    value = decode(octets)
                else:
                    value = convert(given.value)
            except RecordError as error:
                yield Batch([], None, [RecordError(str(error), origins=(metadata,))])
            else:
                yield Batch([value], [metadata])

    async def stop(self) -> None:
        """Nothing to disconnect."""


def _decoder(plan: ExchangePlan, source: int, registry: Registry) -> Decoder | None:
    if source >= len(plan.sources):
        raise ConfigError.at("source", f"found {source}; there are {len(plan.sources)}, from 0 on")
    component = plan.sources[source]
    descriptor = cast("SourceDescriptor", component.descriptor)
    codec = descriptor.octets_codec(component.spec, registry)
    return None if codec is None else codec.decoder(component.spec)


@attrs.frozen
class Recorded:
    """A record that reached a sink, with its octets where the sink writes such."""

    record: Record
    octets: bytes | None
    spec: DataSpec


class Recorder:
    """A sink that keeps what it is given, encoded as the real one would."""

    def __init__(self, spec: DataSpec, codec: Codec | None) -> None:
        self.spec = spec
        self.records: list[Recorded] = []
        self.encodes = codec is not None
        self._encode = None if codec is None else codec.encoder(spec)

    async def start(self) -> None:
        """Nothing to connect."""

    async def write(self, batch: Batch) -> None:
        """Keep the records; raises `RecordErrors` for those that the encoding refuses."""
        failures: dict[int, RecordError] = {}
        for index, record in enumerate(batch.records()):
            try:
                known = self._encode is not None and record.value is not None
                octets = self._encode(record.value) if known and self._encode else None
            except RecordError as error:
                failures[index] = error
            else:
                self.records.append(Recorded(record, octets, self.spec))
        if failures:
            raise RecordErrors(failures)

    async def stop(self) -> None:
        """Nothing to disconnect."""


def with_recorders(registry: Registry, made: dict[int, Recorder]) -> Registry:
    """The same types, but sinks that have a far end keep what they are given.

    Each recorder that is built is noted in `made`, by the identity of its descriptor. Sinks that
    only pass on to others stay as they are.
    """

    def build(descriptor: SinkDescriptor, context: BuildContext) -> Recorder:
        codec = descriptor.octets_codec(context.spec, context.registry)
        made[id(descriptor)] = recorder = Recorder(context.spec, codec)
        return recorder

    def replaced(component: ComponentType) -> ComponentType:
        is_end = component.kind is ComponentKind.SINK
        if not is_end or _holds_components(component.descriptor_class):
            return component
        return attrs.evolve(component, factory=build)

    new = {component.name: replaced(component) for component in registry.walk(ComponentKind.SINK)}
    return attrs.evolve(
        registry,
        types={
            key: new[known.name] if known.kind is ComponentKind.SINK else known
            for key, known in registry.types.items()
        },
    )


def _holds_components(hint: Any) -> bool:
    """Whether other components stand in the options of a class."""
    if hint in COMPONENT_BASES:
        return True
    if isinstance(hint, type) and attrs.has(hint):
        return any(_holds_components(option.hint) for option in options_of(hint).values())
    return any(map(_holds_components, get_args(hint)))


def recorded_form(recorded: Recorded, asked: Container[str]) -> dict[str, Any]:
    """A record as JSON: what was asked for, or its value where nothing was."""
    metadata = recorded.record.metadata
    form: dict[str, Any] = {}
    if "octets" in asked:
        form["octets"] = base64.b64encode(recorded.octets or b"").decode()
    elif "text" in asked:
        form["text"] = (recorded.octets or b"").decode(errors="backslashreplace")
    else:
        form["value"] = _plain(recorded.record.value, recorded.spec)
    if "key" in asked:
        form["key"] = None if metadata.key is None else metadata.key.decode(errors="replace")
    if "headers" in asked:
        wanted = asked["headers"] if isinstance(asked, Mapping) else {}
        found = {name: octets.decode(errors="replace") for name, octets in metadata.headers}
        form["headers"] = {name: found.get(name) for name in wanted}
    if "timestamp" in asked:
        time_ns = metadata.timestamp_ns
        form["timestamp"] = None if time_ns is None else time_text(time_ns)
    return form


def expected_form(given: Given, sink: Recorder) -> dict[str, Any]:
    """The form that a record must have; raises `ConfigError` for one that the sink never gets."""
    octets, metadata = given.encoded(), given.metadata()
    form: dict[str, Any] = {}
    if octets is not None and not sink.encodes:
        raise ConfigError.at("", "this sink writes values, not octets; give a value")
    if given.octets is not None:
        form["octets"] = given.octets
    elif given.text is not None:
        form["text"] = given.text
    else:
        form["value"] = _converted(given.value, sink.spec)
    if given.key is not None:
        form["key"] = given.key
    if given.headers is not None:
        form["headers"] = dict(given.headers)
    if metadata.timestamp_ns is not None:
        form["timestamp"] = time_text(metadata.timestamp_ns)
    return form


def _converted(value: Any, spec: DataSpec) -> Any:
    if value is None:
        return None
    try:
        return _plain(converter(spec)(value), spec)
    except RecordError as error:
        raise ConfigError.at("value", str(error)) from None


def _plain(value: Value, spec: DataSpec) -> Any:
    if value is None:
        return None
    if spec.is_bytes:
        label, octets = cast("tuple[str, bytes]", value)
        return [label, base64.b64encode(octets).decode()]
    return json.loads(JsonCodec().encoder(spec)(value))
