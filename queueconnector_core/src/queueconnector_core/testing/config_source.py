"""What every configuration source keeps to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, TypeVar, cast

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigEvent,
    ConfigReport,
    ConfigSource,
    ConfigUpdate,
    Synced,
    Unavailable,
)
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.registry import Registry
from queueconnector_core.states import State
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.suite import Suite
from queueconnector_core.testing.watching import connections, tasks

__all__ = ("ConfigHarness", "ConfigSourceSuite", "Following")

T = TypeVar("T")

STOP_LIMIT_S = 6
"""Closing and stopping take no longer, in seconds."""
ECHO_S = 0.3
"""An echo comes within that time, or not; there is nothing that could be waited for."""


class ConfigHarness:
    """The place that a configuration source follows, and a way to alter it around the source."""

    keys: Sequence[str | None] = (None,)
    """Keys of documents that may be written; `(None,)` where there is only one document."""

    @property
    def descriptor(self) -> Mapping[str, Any]:
        """The configuration of the source, as an user writes it in JSON."""
        raise NotImplementedError

    async def write_external(self, key: str | None, text: str) -> None:
        """Write the document of that key; when it returns, it is there."""
        raise NotImplementedError

    async def delete_external(self, key: str | None) -> None:
        """Delete the document of that key."""
        raise NotImplementedError


class Following:
    """Follows a source in a task of its own and keeps all that it tells, in `events`."""

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
        """What was told of documents."""
        return [event for event in self.events if isinstance(event, ConfigUpdate)]

    @property
    def outages(self) -> list[Unavailable]:
        """The outages that were told."""
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
        """Wait until everything was told, so many times."""
        await self.until(lambda: self.synced >= times)

    async def until_documents(self, documents: dict[str | None, str]) -> None:
        """Wait until exactly these documents are there."""
        await self.until(lambda: self.documents == documents)

    async def close(self) -> None:
        """Close it wherever it waits, as core does."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self._iterator.aclose()


def _text(word: object) -> str:
    return f'{{"exchanges": [], "n": "{word}"}}'


@pytest.mark.asyncio
class ConfigSourceSuite(Suite):
    """Proves a configuration source.

    ```python
    class TestRegister(ConfigSourceSuite):
        component = "RegisterConfigSource"
        capabilities = Capabilities(many_documents=True)

        @pytest.fixture
        def harness(self, tmp_path: Path) -> ConfigHarness:
            return Register(tmp_path)
    ```
    """

    kind: ClassVar[ComponentKind] = ComponentKind.CONFIG_SOURCE

    @pytest.fixture
    def harness(self) -> ConfigHarness:
        """The place that the source follows; each suite overrides it."""
        raise NotImplementedError("a suite of a config source has a fixture `harness`")

    def build(self, harness: ConfigHarness, registry: Registry) -> ConfigSource:
        """A new source from the configuration of the harness."""
        descriptor = self.structured(harness.descriptor, registry)
        assert isinstance(descriptor, ConfigSourceDescriptor)
        descriptor.check()
        component = registry.lookup(self.kind, self.component)
        source: ConfigSource = component.factory(descriptor, ConfigContext("conformance"))
        return source

    @asynccontextmanager
    async def followed(
        self, harness: ConfigHarness, registry: Registry
    ) -> AsyncIterator[tuple[ConfigSource, Following]]:
        """A new source, followed as long as a block lasts."""
        source = self.build(harness, registry)
        following = Following(source)
        try:
            yield source, following
        finally:
            await following.close()
            await source.stop()

    @rule("3.1")
    async def test_factory_connects_nothing(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """A factory only builds: no connection, no task."""
        await harness.write_external(harness.keys[0], _text("first"))
        self.build(harness, registry)
        before = tasks()
        with connections() as seen:
            self.build(harness, registry)
        await asyncio.sleep(0)

        assert not seen, f"the factory connects: {seen}"
        assert tasks() == before, "the factory starts a task"

    @rule("11.1")
    async def test_what_is_there_comes_before_synced(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """First the documents that are there, then `Synced`."""
        for key in harness.keys:
            await harness.write_external(key, _text(key))
        async with self.followed(harness, registry) as (_, following):
            await following.until(lambda: following.synced, self.timeout_s)

            assert following.documents == {key: _text(key) for key in harness.keys}
            assert isinstance(following.events[-1], Synced)

    @rule("11.1", requires=("live",))
    async def test_where_nothing_is_it_says_synced_alone(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """`Synced` alone, where there is no document."""
        async with self.followed(harness, registry) as (_, following):
            await following.until(lambda: following.synced, self.timeout_s)

            assert following.events == [Synced()]

    @rule("11.2", requires=("live",))
    async def test_a_document_that_is_added_changed_and_deleted(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """Each change is told, with a version of its own."""
        key = harness.keys[0]
        async with self.followed(harness, registry) as (_, following):
            await following.until(lambda: following.synced, self.timeout_s)
            for number in range(2):
                await harness.write_external(key, _text(number))
                await self.arrives(following, {key: _text(number)})
            await harness.delete_external(key)
            await self.arrives(following, {})

            versions = [update.version for update in following.updates if update.text is not None]
            assert len(set(versions)) == len(versions), "two texts have the same version"
            assert following.synced == 1, "synced was told again without an outage"

    async def arrives(self, following: Following, documents: dict[str | None, str]) -> None:
        """Wait until exactly these documents are there."""
        await following.until(lambda: following.documents == documents, self.timeout_s)

    @rule("11.2", requires=("live",))
    async def test_a_document_that_comes_back_with_the_same_text_is_told_again(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """What was deleted and written again is there."""
        key = harness.keys[0]
        await harness.write_external(key, _text(1))
        async with self.followed(harness, registry) as (_, following):
            await self.arrives(following, {key: _text(1)})
            await harness.delete_external(key)
            await self.arrives(following, {})
            await harness.write_external(key, _text(1))
            await self.arrives(following, {key: _text(1)})

    @rule("11.2", requires=("live",))
    async def test_of_rapid_changes_the_last_arrives(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """Of changes that are faster than it is the last one arrives, and none goes back."""
        key, texts = harness.keys[0], [_text(number) for number in range(20)]
        async with self.followed(harness, registry) as (_, following):
            await following.until(lambda: following.synced, self.timeout_s)
            for text in texts:
                await harness.write_external(key, text)
            await self.arrives(following, {key: texts[-1]})

            told = [texts.index(str(update.text)) for update in following.updates]
            assert told == sorted(told), "an older text was told after a newer one"

    @rule("11.3")
    async def test_text_passes_unchanged(self, harness: ConfigHarness, registry: Registry) -> None:
        """A source never reads what stands in a document."""
        text = ' {"ü": "\\n", "é€😀": [1.50, null]}\n'
        await harness.write_external(harness.keys[0], text)
        async with self.followed(harness, registry) as (_, following):
            await following.until(lambda: following.documents, self.timeout_s)
            assert following.documents == {harness.keys[0]: text}

    @rule("11.4")
    async def test_a_report_is_not_told_as_a_change(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """What the source writes itself does not come back as a document."""
        key = harness.keys[0]
        await harness.write_external(key, _text(1))
        async with self.followed(harness, registry) as (source, following):
            await following.until(lambda: following.synced, self.timeout_s)
            version, told = following.version(key), len(following.updates)
            report = ConfigReport(key, version, version, State.ON, time.time())
            # It may be unable to write; that is no echo.
            with suppress(RetryableError, FatalError):
                await source.report(report)
            await asyncio.sleep(ECHO_S)

            assert len(following.updates) == told, "the report came back as a document"

    @rule("11.5")
    async def test_closing_while_it_waits_leaves_no_task(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """`follow` is closed wherever it waits; then `stop`."""
        await harness.write_external(harness.keys[0], _text(1))
        before = tasks()
        async with asyncio.timeout(STOP_LIMIT_S + self.timeout_s):
            async with self.followed(harness, registry) as (_, following):
                await following.until(lambda: following.synced, self.timeout_s)

        assert tasks() <= before, f"tasks are left: {tasks() - before}"

    @rule("11.5", after=("test_closing_while_it_waits_leaves_no_task",))
    async def test_closing_while_it_begins_leaves_no_task(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """`follow` may be closed before it has told anything."""
        await harness.write_external(harness.keys[0], _text(1))
        before = tasks()
        async with asyncio.timeout(STOP_LIMIT_S):
            async with self.followed(harness, registry):
                await asyncio.sleep(0)

        assert tasks() <= before, f"tasks are left: {tasks() - before}"

    @rule("11.5")
    async def test_stop_may_come_first_and_again(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """`stop` is idempotent."""
        source = self.build(harness, registry)
        await source.stop()
        await source.stop()

    @rule("11.2", requires=("many_documents", "live"))
    async def test_documents_do_not_disturb_each_other(
        self, harness: ConfigHarness, registry: Registry
    ) -> None:
        """A change of one document tells nothing of another."""
        one, two = harness.keys[:2]
        await harness.write_external(one, _text(1))
        await harness.write_external(two, _text(2))
        async with self.followed(harness, registry) as (_, following):
            await self.arrives(following, {one: _text(1), two: _text(2)})
            await harness.delete_external(one)
            await self.arrives(following, {two: _text(2)})

            assert [u.text for u in following.updates if u.key == two] == [_text(2)]
