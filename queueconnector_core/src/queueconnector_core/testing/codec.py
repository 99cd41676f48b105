"""What every codec keeps to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import Codec
from queueconnector_core.registry import Registry
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.strategies import exact, values_of
from queueconnector_core.testing.suite import Suite
from queueconnector_core.testing.values import STANDARD_DTYPES, numbered, of_spec

__all__ = ("CodecSuite",)

Strategy = st.SearchStrategy[Any]
Carried: TypeAlias = tuple[DataSpec, Codec]

SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (-1,), (2, 2), (-1, 2))
STRUCTURED = (("name", "U4"), ("at", "datetime64[ms]"), ("position", "float64", (2,)))
HOSTILE = (
    b"", b"\0", b"\xff" * 9, b"[" * 100_000, b'{"a":' * 10_000, b"9" * 100_000, b"(]", b"'\0",
    b"__import__('os').abort()", b"\x93NUMPY\1\0\xff\xff", b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"cos\nabort\n(tR.", b"NaN", b"null", b"nan" * 1000,
)  # fmt: skip
"""Octets that were made to hurt a decoder: depth, size, lies about lengths, pickles, code."""


class CodecSuite(Suite):
    """Proves a codec; `component` is its encoding.

    ```python
    class TestCbor(CodecSuite):
        component = "cbor"
    ```

    `check` says which of many dtypes and shapes it carries; for those it is tried.
    """

    kind: ClassVar[ComponentKind] = ComponentKind.CODEC
    examples: ClassVar[int] = 100
    """So many values, and so many mutilated messages, are made up."""

    def build(self, spec: DataSpec, registry: Registry) -> Codec:
        """A new codec."""
        component = registry.lookup(self.kind, self.component)
        codec: Codec = component.factory(None, BuildContext(spec, registry))
        return codec

    def specs(self) -> Iterator[DataSpec]:
        """The dtypes and shapes that are tried."""
        for dtype in (*STANDARD_DTYPES, ">f8", STRUCTURED):
            # Octets pass unchanged, past every codec.
            for shape in {"bytes": (), "object": SHAPES[:1]}.get(str(dtype), SHAPES):
                yield DataSpec.of(dtype, list(shape))

    @pytest.fixture
    def carried(self, registry: Registry) -> Sequence[Carried]:
        """What the codec says that it carries."""
        found = []
        for spec in self.specs():
            codec = self.build(spec, registry)
            with suppress(ConfigError):
                codec.check(spec)
                found.append((spec, codec))
        return found

    @rule("7.1")
    def test_check_says_what_it_carries(self, registry: Registry) -> None:
        """`check` raises `ConfigError`, or an encoder takes ordinary values."""
        accepted = 0
        for spec in self.specs():
            codec = self.build(spec, registry)
            try:
                codec.check(spec)
            except ConfigError:
                continue
            accepted += 1
            for value in numbered(spec, 0, 2):
                octets = codec.encoder(spec)(value)
                assert type(octets) is bytes, f"{spec}: octets are {type(octets).__name__}"
        assert accepted, "it carries nothing"

    @rule("7.2", after=("test_check_says_what_it_carries",))
    def test_values_come_back(self, carried: Sequence[Carried]) -> None:
        """What was encoded is decoded to the same value, or was refused with `RecordError`."""
        for spec, codec in carried:
            for value in numbered(spec, 0, 2):
                _comes_back(spec, codec, value)

        drawn = _with(carried, lambda one: values_of(one[0]))
        _for_each(drawn, self.examples, lambda found: _comes_back(*found))

    @rule("7.3", after=("test_check_says_what_it_carries",))
    def test_hostile_octets_are_refused(self, carried: Sequence[Carried]) -> None:
        """A decoder raises `RecordError`, and nothing else, for octets that are no value."""
        for spec, codec in carried:
            for octets in HOSTILE:
                _refuses(spec, codec, octets)

        drawn = _with(carried, lambda one: _mutilated(*one))
        _for_each(drawn, self.examples, lambda found: _refuses(*found))


def _comes_back(spec: DataSpec, codec: Codec, value: Any) -> None:
    try:
        octets = codec.encoder(spec)(value)
    except RecordError:
        return
    found = codec.decoder(spec)(octets)
    assert exact(found) == exact(value), f"{spec}: {value!r} came back as {found!r}"
    assert value is None or of_spec(found, spec), f"{spec}: {found!r} is not of it"


def _refuses(spec: DataSpec, codec: Codec, octets: bytes) -> None:
    try:
        found = codec.decoder(spec)(octets)
    except RecordError:
        return
    except Exception as error:  # noqa: BLE001 - that is the question
        pytest.fail(f"{spec}: {octets[:40]!r} raises {error!r}")
    assert found is None or of_spec(found, spec), f"{spec}: {octets[:40]!r} becomes {found!r}"


def _for_each(strategy: Strategy, count: int, check: Callable[[Any], None]) -> None:
    """Check so many examples."""

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def checked(found: Any) -> None:
        check(found)

    checked()


def _with(carried: Sequence[Carried], strategy_of: Callable[[Carried], Strategy]) -> Strategy:
    """One of what a codec carries, with something that is drawn for it."""
    chosen = st.sampled_from(carried)
    return chosen.flatmap(lambda one: st.tuples(st.just(one[0]), st.just(one[1]), strategy_of(one)))


@st.composite
def _mutilated(draw: st.DrawFn, spec: DataSpec, codec: Codec) -> bytes:
    """Noise, or a message that was cut, lengthened or changed."""
    octets = bytearray(codec.encoder(spec)(numbered(spec, draw(st.integers(0, 9)), 1)[0]))
    if not octets or draw(st.booleans()):
        return draw(st.binary(max_size=64))
    place = draw(st.integers(0, len(octets) - 1))
    change = draw(st.sampled_from(["cut", "insert", "replace"]))
    if change == "cut":
        del octets[place:]
    elif change == "insert":
        octets[place:place] = draw(st.binary(min_size=1, max_size=4))
    else:
        octets[place] = draw(st.integers(0, 255))
    return bytes(octets)
