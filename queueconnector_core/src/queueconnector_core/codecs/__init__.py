"""The encodings that come with core, and the way from the word in a configuration to the codec."""

from __future__ import annotations

from typing import Final

from queueconnector_core.codecs.arrays import CarrayCodec, NpyCodec
from queueconnector_core.codecs.jsontext import JsonCodec
from queueconnector_core.codecs.packed import MsgpackNumpyCodec
from queueconnector_core.codecs.raw import RawCodec
from queueconnector_core.codecs.text import AsciiCodec, PythonCodec, Utf8Codec
from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError
from queueconnector_core.protocols import Codec
from queueconnector_core.registry import Registry

__all__ = ("CODECS", "resolve_codec")

CODECS: Final[tuple[tuple[str, type[Codec]], ...]] = (
    ("python", PythonCodec),
    ("utf-8", Utf8Codec),
    ("ascii", AsciiCodec),
    ("json", JsonCodec),
    ("msgpack_numpy", MsgpackNumpyCodec),
    ("carray", CarrayCodec),
    ("npy", NpyCodec),
)
"""Name of the encoding and class of the codec; each class is built without arguments."""


def resolve_codec(encoding: str | None, spec: DataSpec, registry: Registry) -> Codec:
    """The codec for values of `spec` under the `encoding` of a configuration.

    For dtype bytes any label, or none, leaves the octets as they are. Otherwise it is a codec of
    the registry that carries `spec`. Raises `ConfigError` at `encoding` that says what would.
    """
    if spec.is_bytes:
        return RawCodec(encoding or "")
    try:
        if encoding is None:
            raise ConfigError.at("", f"found null; dtype {spec} needs an encoding")
        codec = _build(encoding, spec, registry)
        codec.check(spec)
    except ConfigError as error:
        allowed = ", ".join(_carrying(spec, registry)) or "none"
        raise ConfigError.at("encoding", f"{error}; encodings for {spec}: {allowed}") from None
    return codec


def _build(encoding: str, spec: DataSpec, registry: Registry) -> Codec:
    component = registry.lookup(ComponentKind.CODEC, encoding)
    codec: Codec = component.factory(None, BuildContext(spec, registry))
    return codec


def _carrying(spec: DataSpec, registry: Registry) -> list[str]:
    """The names of all encodings that carry `spec`."""
    found = []
    for name in registry.names(ComponentKind.CODEC):
        try:
            _build(name, spec, registry).check(spec)
        except ConfigError:
            continue
        found.append(name)
    return found
