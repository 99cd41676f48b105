"""What pipes tell records apart by, and what they remember of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

import attrs
from msgspec import Meta

from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import key_search
from queueconnector_core.record import Batch, Metadata

__all__ = ("KeyOptions", "Keys", "Remembered")

Keys: TypeAlias = Callable[[Batch], tuple[Sequence[Hashable], dict[int, RecordError]]]
"""The key of each record (None: it has none), and those of which it cannot be told."""

Known = TypeVar("Known")


@attrs.frozen(kw_only=True)
class KeyOptions:
    """What makes one stream of several that are mixed."""

    key: Annotated[
        Literal["none", "record", "source"],
        Meta(
            description="What keeps records apart: nothing, the key of the record (as it came from "
            "Kafka), or the name of the record's source."
        ),
    ] = "none"
    key_path: Annotated[
        str | None,
        Meta(
            description="A JMESPath: what it finds in the value, text or a number, keeps records "
            "apart.",
            min_length=1,
        ),
    ] = None
    max_keys: Annotated[
        int,
        Meta(
            description="So many keys are remembered; then the one that came least recently is "
            "forgotten, and its next record counts as its first.",
            ge=1,
        ),
    ] = 10_000

    @property
    def has_key(self) -> bool:
        """Whether records are kept apart at all."""
        return self.key != "none" or self.key_path is not None

    def check_key(self) -> None:
        """Raise `ConfigError` when the options clash, or for what is no JMESPath."""
        if self.key_path is None:
            return
        if self.key != "none":
            text = f"there is a key already: {self.key}; leave one of them out"
            raise ConfigError.at("key_path", text)
        try:
            key_search(self.key_path)
        except ConfigError as error:
            raise error.under("key_path") from None

    def keys(self) -> Keys:
        """The function that tells the keys of the records of a batch."""
        if self.key_path is not None:
            return _found(self.key_path)
        if self.key == "none":
            return lambda batch: ([None] * len(batch), {})
        return _known(lambda metadata: metadata.key if self.key == "record" else metadata.source)


def _known(key: Callable[[Metadata], Hashable]) -> Keys:
    def keys(batch: Batch) -> tuple[Sequence[Hashable], dict[int, RecordError]]:
        if batch.metadata is None:
            return [None] * len(batch), {}
        return [key(metadata) for metadata in batch.metadata], {}

    return keys


def _found(path: str) -> Keys:
    search = key_search(path)

    def keys(batch: Batch) -> tuple[Sequence[Hashable], dict[int, RecordError]]:
        found: list[Hashable] = []
        failed: dict[int, RecordError] = {}
        for value in batch.values:
            try:
                found.append(search(value))
            except RecordError as error:
                failed[len(found)] = error
                found.append(None)
        return found, failed

    return keys


class Remembered(Generic[Known]):
    """What is known of each key; of too many keys the one used least recently is forgotten."""

    def __init__(self, max_keys: int) -> None:
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self._max_keys = max_keys

    def get(self, key: Hashable) -> Known | None:
        """What was put last; None where nothing is known."""
        return self._known.get(key)

    def put(self, key: Hashable, known: Known) -> None:
        """Remember it from now on."""
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > self._max_keys:
            self._known.popitem(last=False)
