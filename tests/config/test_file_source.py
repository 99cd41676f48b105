"""Configurations in files: real ones, replaced, written, swapped and deleted as people do it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.component import ComponentKind
from queueconnector_core.config.descriptors import FileConfigSourceDescriptor
from queueconnector_core.config.documents import MAX_BYTES, Documents
from queueconnector_core.config.file import FileConfigSource
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigReport,
    ConfigUpdate,
    Fault,
    Synced,
    Unavailable,
)
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.states import State
from queueconnector_core.structure import make_converter
from queueconnector_core.testing.config_source import Following

POLL_S = 0.02
POLLS = 5
NOBODY = 65534


class FollowedFile(Following):
    """A file source, and what it tells."""

    def __init__(self, source: FileConfigSource) -> None:
        self.source = source
        super().__init__(source)


Follow = Callable[..., Awaitable[FollowedFile]]


@pytest.fixture
async def follow() -> AsyncIterator[Follow]:
    """Follows a path; nothing may block the loop meanwhile."""
    started: list[FollowedFile] = []

    async def start(path: Path | str, **options: str) -> FollowedFile:
        descriptor = FileConfigSourceDescriptor(path=str(path), poll_s=POLL_S, **options)  # type: ignore[arg-type]
        await asyncio.to_thread(descriptor.check)
        started.append(FollowedFile(FileConfigSource(descriptor, ConfigContext("a/b/c"))))
        return started[-1]

    yield start
    for following in started:
        await following.close()
        await following.source.stop()


@pytest.fixture(autouse=True)
def unblocked() -> Iterator[None]:
    with blockbuster_ctx("queueconnector_core.config"):
        yield


async def told_unavailable(following: Following) -> Unavailable:
    """What is told about a source that cannot be read."""
    return (await following.until(lambda: following.outages))[-1]


def replace(path: Path, text: str) -> None:
    """Put a text in place at once, as careful programs do."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, "utf-8")
    new.replace(path)


def config_map(folder: Path, revision: str, **documents: str) -> None:
    """What the kubelet does with a mounted ConfigMap when that changes."""
    data = folder / f"..{revision}"
    data.mkdir()
    for name, text in documents.items():
        (data / f"{name}.json").write_text(text, "utf-8")
        link = folder / f"{name}.json"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.json")
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").replace(folder / "..data")
    for link in folder.glob("[!.]*.json"):
        if link.stem not in documents:
            link.unlink()


def names_in(folder: Path) -> list[str]:
    """Everything in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may read everything; nobody may not. Whoever is not root stays who they are."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


class TestOneFile:
    async def test_it_is_the_document_without_a_key(self, tmp_path: Path, follow: Follow) -> None:
        path = tmp_path / "any name"
        path.write_text("α", "utf-8")

        following = await follow(path)
        await following.until_synced()

        update, synced = following.events
        assert isinstance(update, ConfigUpdate)
        assert (update.key, update.text, synced) == (None, "α", Synced())
        assert len(update.version) == 12

    async def test_one_that_is_not_there_is_no_document_until_it_appears(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "not yet" / "c.json"
        following = await follow(path)
        await following.until_synced()
        assert following.events == [Synced()]

        path.parent.mkdir()
        replace(path, "{}")

        await following.until_documents({None: "{}"})

    async def test_each_replacement_is_told_with_another_version(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        following = await follow(path)
        await following.until_documents({None: "1"})
        versions = {following.version(None)}

        for text in ("2", "3"):
            replace(path, text)
            await following.until_documents({None: text})
            versions.add(following.version(None))

        assert len(versions) == 3

    async def test_the_same_text_again_is_no_change(self, tmp_path: Path, follow: Follow) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        following = await follow(path)
        await following.until_synced()

        replace(path, "1")
        await asyncio.sleep(POLLS * POLL_S)
        replace(path, "2")
        await following.until_documents({None: "2"})

        assert len(following.events) == 3

    async def test_a_deleted_one_is_told_as_gone(self, tmp_path: Path, follow: Follow) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        following = await follow(path)
        await following.until_documents({None: "1"})

        path.unlink()

        await following.until_documents({})

    async def test_one_in_a_folder_that_vanished_keeps_its_document(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "volume" / "c.json"
        path.parent.mkdir()
        path.write_text("1")
        following = await follow(path)
        await following.until_synced()

        path.parent.rename(tmp_path / "unmounted")
        told = await told_unavailable(following)
        (tmp_path / "unmounted").rename(path.parent)
        await following.until_synced(2)

        assert str(path) in told.reason
        assert following.documents == {None: "1"}
        assert len(following.events) == 4

    async def test_what_is_neither_file_nor_directory_is_unavailable(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)

        told = await told_unavailable(await follow(path))

        assert told.reason == f"{path}: neither a file nor a directory"


class TestADirectory:
    async def test_each_json_file_is_a_document_named_by_its_stem(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        for name in ("a.json", "b.c.json", ".a.json", ".json", "a.json~", "readme.txt", "#a.json#"):
            (tmp_path / name).write_text(name)
        (tmp_path / "folder.json").mkdir()

        following = await follow(tmp_path)
        await following.until_synced()

        assert following.documents == {"a": "a.json", "b.c": "b.c.json"}

    def test_one_that_is_written_in_pieces_is_told_once_it_is_left_alone(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text("before")
        documents = Documents(str(tmp_path), settle_s=3600)
        documents.poll()
        documents.poll()

        # Poll by poll, so that the moment between the pieces does not depend on the machine.
        with path.open("w") as file:
            seen_empty = documents.poll()
            file.write("aft")
            file.flush()
            seen_half = documents.poll()
            file.write("er")
        seen_changed, seen_settled = documents.poll(), documents.poll()

        assert (seen_empty, seen_half, seen_changed) == ([], [], [])
        (told,) = seen_settled
        assert isinstance(told, ConfigUpdate)
        assert told.text == "after"

    def test_one_that_an_editor_moves_away_for_a_moment_is_not_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text("before")
        documents = Documents(str(tmp_path), settle_s=3600)
        documents.poll()
        documents.poll()

        path.rename(tmp_path / "a.json~")
        moved_away = documents.poll()
        path.write_text("after")
        documents.poll()
        (written,) = documents.poll()

        assert moved_away == []
        assert isinstance(written, ConfigUpdate)
        assert written.text == "after"

    async def test_a_config_map_is_swapped_behind_its_links(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        config_map(tmp_path, "1", a="a1", b="b1")
        following = await follow(tmp_path)
        await following.until_documents({"a": "a1", "b": "b1"})

        config_map(tmp_path, "2", a="a2", c="c2")

        await following.until_documents({"a": "a2", "c": "c2"})

    async def test_one_that_vanishes_takes_nothing_away(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "a.json").write_text("1")
        (folder / "b.json").write_text("1")
        following = await follow(folder)
        await following.until_synced()

        folder.rename(tmp_path / "elsewhere")
        told = await told_unavailable(following)
        documents = dict(following.documents)
        (tmp_path / "elsewhere" / "b.json").unlink()
        (tmp_path / "elsewhere").rename(folder)
        await following.until_synced(2)

        assert told.reason == f"{folder}: No such file or directory"
        assert not told.refused
        assert documents == {"a": "1", "b": "1"}
        assert following.documents == {"a": "1"}

    async def test_one_that_is_not_there_is_known_by_its_slash(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        following = await follow(f"{tmp_path}/later/")
        await told_unavailable(following)

        (tmp_path / "later").mkdir()
        replace(tmp_path / "later" / "a.json", "1")

        await following.until_documents({"a": "1"})

    async def test_an_emptied_one_takes_everything_away(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        for name in "ab":
            (tmp_path / f"{name}.json").write_text(name)
        following = await follow(tmp_path)
        await following.until_synced()

        for name in "ab":
            (tmp_path / f"{name}.json").unlink()

        await following.until_documents({})


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"\xff", "not UTF-8 (invalid start byte)"),
            (b" " * (MAX_BYTES + 1), "has more than 1048576 bytes, which is the most allowed"),
        ],
        ids=["not UTF-8", "too long"],
    )
    async def test_it_is_told_with_the_reason_and_disturbs_no_other(
        self, tmp_path: Path, follow: Follow, content: bytes, reason: str
    ) -> None:
        (tmp_path / "bad.json").write_bytes(content)
        (tmp_path / "good.json").write_text("1")
        following = await follow(tmp_path)

        told = await told_unavailable(following)
        assert told.reason.endswith(reason)
        assert "bad.json" in told.reason
        replace(tmp_path / "good.json", "2")
        await following.until_documents({"good": "2"})
        assert Synced() not in following.events

        replace(tmp_path / "bad.json", "3")
        await following.until_synced()
        assert following.documents == {"good": "2", "bad": "3"}

    async def test_the_longest_document_is_read(self, tmp_path: Path, follow: Follow) -> None:
        (tmp_path / "a.json").write_bytes(b" " * MAX_BYTES)

        await (await follow(tmp_path)).until_documents({"a": " " * MAX_BYTES})

    async def test_what_worked_before_stays(self, tmp_path: Path, follow: Follow) -> None:
        (tmp_path / "a.json").write_text("1")
        following = await follow(tmp_path)
        await following.until_synced()

        (tmp_path / "a.json").unlink()
        (tmp_path / "a.json").symlink_to("a.json")
        told = await told_unavailable(following)

        assert "Too many levels of symbolic links" in told.reason
        assert following.documents == {"a": "1"}

    def test_a_right_that_is_missing_is_a_refusal(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("1")
        (tmp_path / "a.json").chmod(0o000)
        documents = Documents(str(tmp_path), settle_s=0)

        with without_rights():
            (told,) = documents.poll()

        assert str(told) == str(documents._condition)
        assert "Permission denied" in str(told)
        assert "refused=True" in str(told)

    def test_a_name_that_is_not_utf8_is_told_in_letters_that_can_be_written(
        self, tmp_path: Path
    ) -> None:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json"))).write_text("1")

        (told,) = Documents(str(tmp_path), settle_s=0).poll()

        assert "not UTF-8" in str(told)
        assert str(told).encode()


class TestReports:
    async def test_it_is_written_whole_beside_the_documents(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.json").write_text("1")
        following = await follow(tmp_path / "in", status_dir=f"{tmp_path}/out/deep")
        await following.until_synced()
        version = following.version("a")
        fault = Fault("ConfigError", "no such type", "a", 0, 2.5, version)

        await following.source.report(
            ConfigReport("a", version, "", State.FAULT, 1.5, {"a": State.FAULT}, fault)
        )

        written = tmp_path / "out" / "deep" / "a.json"
        assert names_in(written.parent) == [written.name]
        assert json.loads(written.read_text("utf-8")) == {
            "host": "a/b/c",
            "key": "a",
            "seen": version,
            "running": "",
            "state": "FAULT",
            "since_s": 1.5,
            "groups": {"a": "FAULT"},
            "fault": {
                "type": "ConfigError",
                "message": "no such type",
                "group": "a",
                "exchange": 0,
                "time_s": 2.5,
                "version": version,
            },
        }

    async def test_that_of_a_single_file_is_called_default_and_goes_with_it(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        written = tmp_path / "out" / "default.json"
        following = await follow(path, status_dir=str(written.parent))
        await following.until_synced()

        version = following.version(None)
        await following.source.report(ConfigReport(None, version, version, State.ON, 0.0))
        assert json.loads(written.read_text("utf-8"))["state"] == "ON"

        path.unlink()
        await following.until_documents({})
        for _ in range(2):
            await following.source.report(ConfigReport(None, "", "", None, 0.0))
            assert not written.exists()

    async def test_one_about_a_version_that_is_no_longer_the_newest_is_dropped(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        following = await follow(path, status_dir=f"{tmp_path}/out")
        await following.until_synced()
        former = following.version(None)
        replace(path, "2")
        await following.until_documents({None: "2"})

        await following.source.report(ConfigReport(None, former, former, State.ON, 0.0))
        await following.source.report(ConfigReport(None, former, former, None, 0.0))

        assert not (tmp_path / "out").exists()

    async def test_without_a_place_for_them_they_are_dropped(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        following = await follow(path)
        await following.until_synced()
        version = following.version(None)

        await following.source.report(ConfigReport(None, version, version, State.ON, 0.0))

        assert names_in(tmp_path) == [path.name]

    async def test_a_right_that_is_missing_is_fatal_anything_else_is_tried_again(
        self, tmp_path: Path, follow: Follow
    ) -> None:
        path = tmp_path / "c.json"
        path.write_text("1")
        (tmp_path / "out").write_text("a file where the directory should be")
        following = await follow(path, status_dir=f"{tmp_path}/out/deep")
        await following.until_synced()
        version = following.version(None)
        report = ConfigReport(None, version, version, State.ON, 0.0)

        with pytest.raises(RetryableError, match="out"):
            await following.source.report(report)
        (tmp_path / "out").unlink()
        (tmp_path / "out").mkdir(mode=0o500)
        with without_rights(), pytest.raises(FatalError, match="may not write reports"):
            await following.source.report(report)


class TestTheDescriptor:
    def test_it_is_found_by_name_and_alias(self) -> None:
        registry = discover().registry
        read = make_converter(registry).structure

        for name in ("FileConfigSource", "file"):
            found = read({"type": name, "path": "c.json"}, ConfigSourceDescriptor)
            assert found == FileConfigSourceDescriptor(path="c.json")
        assert "FileConfigSource" in registry.names(ComponentKind.CONFIG_SOURCE)

    @pytest.mark.parametrize(
        ("path", "status_dir"),
        [
            ("folder", "folder"),
            ("folder", "folder/status"),
            ("folder", "link"),
            ("default.json", "."),
        ],
    )
    def test_reports_among_the_documents_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, status_dir: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("folder")
        monkeypatch.chdir(tmp_path)
        descriptor = FileConfigSourceDescriptor(path=path, status_dir=status_dir)

        with pytest.raises(ConfigError, match=f"^status_dir: found '{status_dir}', which "):
            descriptor.check()

    @pytest.mark.parametrize(
        ("path", "status_dir"),
        [("folder", None), ("folder", "folder-status"), ("folder", "."), ("c.json", ".")],
    )
    def test_any_other_place_is_fine(self, path: str, status_dir: str | None) -> None:
        FileConfigSourceDescriptor(path=path, status_dir=status_dir).check()


NAMES = st.sampled_from(("a", "b", "c"))
TEXTS = st.sampled_from(("1", "2", "22", ""))
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(("write", "replace")), NAMES, TEXTS),
    st.tuples(st.just("delete"), NAMES, st.just("")),
    st.tuples(st.just("poll"), st.just(""), st.just("")),
)


@given(st.lists(ACTIONS, max_size=30))
def test_whatever_happens_the_told_state_becomes_that_of_the_directory(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("documents")
    documents = Documents(str(folder), settle_s=3600)
    told: dict[str | None, str] = {}

    def poll() -> None:
        for event in documents.poll():
            if isinstance(event, ConfigUpdate):
                if event.text is None:
                    del told[event.key]
                else:
                    assert told.get(event.key) != event.text
                    told[event.key] = event.text

    for moment, (action, name, text) in enumerate(actions):
        path = folder / f"{name}.json"
        if action == "poll":
            poll()
        elif action == "delete":
            path.unlink(missing_ok=True)
        else:
            (replace if action == "replace" else Path.write_text)(path, text)
            # The kernel's clock of files stands still for milliseconds, as no two edits do.
            now_ns = path.stat().st_mtime_ns
            os.utime(path, ns=(now_ns, now_ns + moment + 1))
    for _ in range(2):
        poll()

    assert told == {path.stem: path.read_text() for path in folder.glob("*.json")}
