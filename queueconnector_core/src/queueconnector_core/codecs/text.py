"""Encodings that people read: Python literals, and plain text in UTF-8 or ASCII."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from queueconnector_core.codecs._literal import parse_literal
from queueconnector_core.codecs._plain import plain, plain_tree
from queueconnector_core.codecs.jsontext import json_reader
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("AsciiCodec", "PythonCodec", "Utf8Codec")

_NUMERIC: Final = b"-+0123456789eE.,[] \r\n" + b"nanif" + b"TrueFals"


class PythonCodec:
    """`python`: the `repr` of plain Python values, in UTF-8.

    All dtypes and shapes but bytes. Arrays are nested lists, rows of structured arrays tuples in
    field order, datetime64 is ISO 8601 text, floats are exact. NaN and infinity stand as `nan`,
    `inf` and are read back, which plain `ast.literal_eval` refuses; everything else that it reads
    is read (rare forms only up to 64 KiB), nested at most 200 levels deep. Integers are not
    mistaken for text: a literal is converted as any other value.
    """

    def check(self, spec: DataSpec) -> None:
        """Every dtype and shape passes."""

    def encoder(self, spec: DataSpec) -> Encoder:
        """`repr`, after numpy's values became Python's."""
        convert = converter(spec)
        scalar = spec.is_scalar and spec.dtype.kind in "biufcU"

        def encode(value: Any) -> bytes:
            value = convert(value)
            try:
                if not scalar:
                    value = plain_tree(value, named=False)
                return repr(value).encode()
            except (ValueError, RecursionError) as error:
                raise RecordError(f"the value cannot be written as a literal: {error}") from None

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """Literals, converted to `spec`; lists of numbers are read as JSON, which is faster."""
        convert = converter(spec)
        numeric = bool(spec.shape) and spec.dtype.kind in "biuf"
        read_json = json_reader(spec)

        def decode(data: bytes) -> Value:
            if numeric and not data.translate(None, _NUMERIC):
                try:
                    return read_json(_as_json(data))
                except RecordError:
                    pass  # tell what is wrong with the literal, not with its translation
            try:
                value = parse_literal(data.decode())
            except ValueError as error:
                raise RecordError(f"found no Python literal: {error}") from None
            return convert(value)

        return decode


def _as_json(data: bytes) -> bytes:
    if data.translate(None, b"naifTruFls") == data:  # "e" alone is part of a number
        return data
    for mine, theirs in (
        *((b"nan", b"NaN"), (b"inf", b"Infinity")),
        *((b"True", b"true"), (b"False", b"false")),
    ):
        data = data.replace(mine, theirs)
    return data


class Utf8Codec:
    """`utf-8`: the text of one scalar.

    Dtypes bool (`True`, `False`; read in any case), numbers (as `str` writes them, floats exact),
    datetime64 (ISO 8601) and str; shape [] only. Text that the character set does not have is a
    `RecordError`.
    """

    charset: ClassVar[str] = "utf-8"

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` unless `spec` is a scalar of a simple dtype."""
        if not spec.is_scalar or spec.dtype.kind not in "biufcUM":
            raise ConfigError.at(
                "", f"{self.charset} carries one bool, number, datetime64 or str, not {spec}"
            )

    def encoder(self, spec: DataSpec) -> Encoder:
        """`str`, in the character set."""
        convert = converter(spec)
        charset = self.charset
        write = _iso_text if spec.dtype.kind == "M" else str

        def encode(value: Any) -> bytes:
            try:
                return write(convert(value)).encode(charset)
            except UnicodeEncodeError as error:
                raise RecordError(f"found text that is not {charset}: {error}") from None

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """The text, converted to `spec`."""
        convert = converter(spec)
        charset = self.charset

        def decode(data: bytes) -> Value:
            try:
                text = str(data, charset)
            except UnicodeDecodeError as error:
                raise RecordError(f"found octets that are not {charset}: {error}") from None
            return convert(text)

        return decode


class AsciiCodec(Utf8Codec):
    """`ascii`: as `utf-8`, with ASCII characters only."""

    charset: ClassVar[str] = "ascii"


def _iso_text(value: Any) -> str:
    return plain(value, named=False)  # type: ignore[no-any-return]
