"""A configuration that stands in its own descriptor."""

from __future__ import annotations

import asyncio

from queueconnector_core.config.descriptors import JsonConfigSourceDescriptor
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigReport,
    ConfigSource,
    ConfigUpdate,
    Synced,
)
from queueconnector_core.config.text import JsonConfigSource
from queueconnector_core.states import State
from queueconnector_core.testing.config_source import Following

TEXT = '{"exchanges": []}'


def source(text: str = TEXT) -> JsonConfigSource:
    return JsonConfigSource(JsonConfigSourceDescriptor(text=text), ConfigContext("here"))


async def test_the_text_is_the_only_document_and_then_it_ends() -> None:
    following = Following(source())

    async with asyncio.timeout(10):
        await following.task

    update, synced = following.events
    assert isinstance(update, ConfigUpdate)
    assert (update.key, update.text, synced) == (None, TEXT, Synced())


async def test_the_version_tells_texts_apart_and_is_the_same_for_the_same() -> None:
    versions = set()
    for text in (TEXT, TEXT, "", "\ud800"):
        following = Following(source(text))
        await following.until_synced()
        versions.add(following.version(None))

    assert len(versions) == 3


async def test_a_report_is_taken_and_stopping_twice_does_no_harm() -> None:
    made: ConfigSource = source()

    await made.report(ConfigReport(None, "a", "a", State.ON, 0.0))
    await made.stop()
    await made.stop()
