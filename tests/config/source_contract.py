"""What every configuration source keeps to; a suite subclasses `SourceContract`.

Where there is more than one document: `ManyDocumentsContract`.
A subclass gives the fixture `harness`: a source that was just built, and the place that it follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol, TypeVar, cast

import pytest

from queueconnector_core.config.protocol import (
    ConfigEvent,
    ConfigSource,
    ConfigUpdate,
    Synced,
    Unavailable,
)

T = TypeVar("T")


class Harness(Protocol):
    """A source, and a way to alter what it follows that is not its own."""

    source: ConfigSource
    keys: tuple[str | None, ...]
    """Keys of documents that may be put; `(None,)` where there is only one document."""

    async def put(self, key: str | None, text: str) -> None: ...

    async def delete(self, key: str | None) -> None: ...


class Following:
    """Follows a source in a task of its own and keeps all that it tells."""

    def __init__(self, source: ConfigSource) -> None:
        self.events: list[ConfigEvent] = []
        self._changed = asyncio.Condition()
        self._iterator = cast("AsyncGenerator[ConfigEvent, None]", source.follow())
        self.task = asyncio.create_task(self._follow(), name="following")

    async def _follow(self) -> None:
        async for event in self._iterator:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    @property
    def updates(self) -> list[ConfigUpdate]:
        return [event for event in self.events if isinstance(event, ConfigUpdate)]

    @property
    def outages(self) -> list[Unavailable]:
        return [event for event in self.events if isinstance(event, Unavailable)]

    @property
    def synced(self) -> int:
        """How often everything was told."""
        return sum(isinstance(event, Synced) for event in self.events)

    @property
    def documents(self) -> dict[str | None, str]:
        """What is there, as far as it was told."""
        found: dict[str | None, str] = {}
        for update in self.updates:
            if update.text is None:
                found.pop(update.key, None)
            else:
                found[update.key] = update.text
        return found

    def version(self, key: str | None) -> str:
        """The newest version of a document."""
        return next(update.version for update in reversed(self.updates) if update.key == key)

    async def until(self, condition: Callable[[], T], timeout_s: float = 20.0) -> T:
        """Wait until what was told fulfils a condition."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                return await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"waited in vain; told were {self.events}") from None

    async def until_synced(self, times: int = 1) -> None:
        await self.until(lambda: self.synced >= times)

    async def until_documents(self, documents: dict[str | None, str]) -> None:
        await self.until(lambda: self.documents == documents)

    async def close(self) -> None:
        """Close it wherever it waits, as core does."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self._iterator.aclose()


def own_tasks() -> set[asyncio.Task[object]]:
    """The tasks that are not pytest's."""
    this = asyncio.current_task()
    return {t for t in asyncio.all_tasks() if t is not this and "fixture" not in repr(t)}


class SourceContract:
    """The numbered sentences of `ConfigSource.follow` and `stop`."""

    @pytest.fixture
    async def following(self, harness: Harness) -> AsyncIterator[Following]:
        """The source of the harness, followed."""
        following = Following(harness.source)
        yield following
        await following.close()
        await harness.source.stop()

    async def test_what_is_there_comes_before_synced(self, harness: Harness) -> None:
        for key in harness.keys:
            await harness.put(key, f'{{"exchanges": [], "n": "{key}"}}')
        following = Following(harness.source)

        await following.until_synced()

        assert {update.key for update in following.updates} == set(harness.keys)
        assert following.documents == {
            key: f'{{"exchanges": [], "n": "{key}"}}' for key in harness.keys
        }
        assert isinstance(following.events[-1], Synced)
        await following.close()
        await harness.source.stop()

    async def test_where_nothing_is_it_says_synced_alone(self, following: Following) -> None:
        await following.until_synced()

        assert following.events == [Synced()]

    async def test_a_document_that_is_added_changed_and_deleted(
        self, harness: Harness, following: Following
    ) -> None:
        key = harness.keys[0]
        await following.until_synced()

        await harness.put(key, '{"n": 1}')
        await following.until_documents({key: '{"n": 1}'})
        await harness.put(key, '{"n": 2}')
        await following.until_documents({key: '{"n": 2}'})
        await harness.delete(key)
        await following.until_documents({})

        versions = [update.version for update in following.updates if update.text is not None]
        assert len(set(versions)) == len(versions)
        assert following.synced == 1

    async def test_a_document_that_comes_back_with_the_same_text_is_told_again(
        self, harness: Harness, following: Following
    ) -> None:
        key = harness.keys[0]
        await harness.put(key, '{"n": 1}')
        await following.until_documents({key: '{"n": 1}'})
        await harness.delete(key)
        await following.until_documents({})

        await harness.put(key, '{"n": 1}')

        await following.until_documents({key: '{"n": 1}'})

    async def test_of_rapid_changes_the_last_arrives(
        self, harness: Harness, following: Following
    ) -> None:
        key = harness.keys[0]
        await following.until_synced()

        for number in range(20):
            await harness.put(key, f'{{"n": {number}}}')

        await following.until_documents({key: '{"n": 19}'})
        numbers = [update.text for update in following.updates]
        assert numbers == sorted(numbers, key=lambda text: int(str(text)[6:-1]))

    async def test_text_passes_unchanged(self, harness: Harness, following: Following) -> None:
        text = ' {"ü": "\\n", "é€😀": [1.50, null]}\n'

        await harness.put(harness.keys[0], text)

        await following.until_documents({harness.keys[0]: text})

    async def test_closing_while_it_waits_leaves_no_task(self, harness: Harness) -> None:
        before = own_tasks()
        following = Following(harness.source)
        await following.until_synced()

        async with asyncio.timeout(6):
            await following.close()
            await harness.source.stop()

        assert own_tasks() == before

    async def test_closing_while_it_begins_leaves_no_task(self, harness: Harness) -> None:
        before = own_tasks()
        following = Following(harness.source)
        await asyncio.sleep(0)

        async with asyncio.timeout(6):
            await following.close()
            await harness.source.stop()

        assert own_tasks() == before

    async def test_stop_may_come_first_and_again(self, harness: Harness) -> None:
        await harness.source.stop()
        await harness.source.stop()


class ManyDocumentsContract(SourceContract):
    """And what a source keeps to that has more than one document."""

    async def test_documents_do_not_disturb_each_other(
        self, harness: Harness, following: Following
    ) -> None:
        one, two = harness.keys[:2]
        await harness.put(one, '{"n": 1}')
        await harness.put(two, '{"n": 2}')
        await following.until_documents({one: '{"n": 1}', two: '{"n": 2}'})

        await harness.delete(one)
        await following.until_documents({two: '{"n": 2}'})

        assert [update.text for update in following.updates if update.key == two] == ['{"n": 2}']
