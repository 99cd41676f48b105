"""A right configuration source on a board in memory, and the same with one defect each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar

import attrs
from msgspec import Meta

from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigEvent,
    ConfigReport,
    ConfigUpdate,
    Synced,
)
from queueconnector_core.descriptors import ConfigSourceDescriptor


class Board:
    """Documents by key, each with a version."""

    boards: ClassVar[dict[str, Board]] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents: dict[str | None, tuple[str, int]] = {}
        self.version = 0
        self.boards[name] = self

    def put(self, key: str | None, text: str) -> None:
        self.version += 1
        self.documents[key] = (text, self.version)


@attrs.frozen
class BoardConfigSourceDescriptor(ConfigSourceDescriptor):
    """Follows a board."""

    board: Annotated[str, Meta(description="The name of the board.")] = ""


class BoardSource:
    """Right."""

    def __init__(self, descriptor: BoardConfigSourceDescriptor, _: ConfigContext) -> None:
        self.board = Board.boards[descriptor.board]

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        told: dict[str | None, int] = {}
        for update in self.changes(told):
            yield update
        yield Synced()
        while True:
            await asyncio.sleep(0.001)
            for update in self.changes(told):
                yield update

    def changes(self, told: dict[str | None, int]) -> list[ConfigUpdate]:
        found = []
        for key in list(told):
            if key not in self.board.documents:
                del told[key]
                found.append(ConfigUpdate(key, None, ""))
        for key, (text, version) in self.board.documents.items():
            if told.get(key) != version:
                told[key] = version
                found.append(ConfigUpdate(key, self.text(text), self.version(version)))
        return found

    def text(self, text: str) -> str:
        return text

    def version(self, version: int) -> str:
        return str(version)

    async def report(self, report: ConfigReport) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        await asyncio.sleep(0)


class Echoes(BoardSource):
    """tells its own report as a change of the document"""

    caught_by = "test_a_report_is_not_told_as_a_change"

    async def report(self, report: ConfigReport) -> None:
        text, _ = self.board.documents[report.key]
        self.board.put(report.key, text)


class Reformats(BoardSource):
    """changes the text of a document"""

    caught_by = "test_text_passes_unchanged"

    def text(self, text: str) -> str:
        return text.strip()


class SyncedFirst(BoardSource):
    """says synced before it has told what is there"""

    caught_by = "test_what_is_there_comes_before_synced"

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        yield Synced()
        async for event in super().follow():
            if not isinstance(event, Synced):
                yield event


class OneVersion(BoardSource):
    """gives every text the same version"""

    caught_by = "test_a_document_that_is_added_changed_and_deleted"

    def version(self, version: int) -> str:
        return "1"


class TellsEverythingAgain(BoardSource):
    """tells all documents when one was changed"""

    caught_by = "test_documents_do_not_disturb_each_other"

    def changes(self, told: dict[str | None, int]) -> list[ConfigUpdate]:
        if len(told) > len(self.board.documents):
            told.update(dict.fromkeys(told, 0))
        return super().changes(told)


class LeaksWhenClosed(BoardSource):
    """leaves a task behind when it is closed"""

    caught_by = "test_closing_while_it_waits_leaves_no_task"

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        async for event in super().follow():
            if isinstance(event, Synced):
                self.task = asyncio.create_task(asyncio.sleep(60))
            yield event


class StopsOnlyOnce(BoardSource):
    """fails when it is stopped twice"""

    caught_by = "test_stop_may_come_first_and_again"
    stopped = False

    async def stop(self) -> None:
        if self.stopped:
            raise ValueError("stopped already")
        self.stopped = True


CONFIG_SOURCES: tuple[type[BoardSource], ...] = (
    *(Echoes, Reformats, SyncedFirst, OneVersion, TellsEverythingAgain, LeaksWhenClosed),
    StopsOnlyOnce,
)
