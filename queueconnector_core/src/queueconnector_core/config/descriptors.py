"""What a user writes for core's own configuration sources."""

from __future__ import annotations

import os
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.errors import ConfigError

__all__ = ("JsonConfigSourceDescriptor", "FileConfigSourceDescriptor", "ONLY_DOCUMENT")

ONLY_DOCUMENT = "default"
"""What the report on a source's only document is called."""


@attrs.frozen(kw_only=True)
class JsonConfigSourceDescriptor(ConfigSourceDescriptor):
    """One configuration that never changes, written where the source is declared."""

    text: Annotated[str, Meta(description="The configuration, as JSON text.")]


@attrs.frozen(kw_only=True)
class FileConfigSourceDescriptor(ConfigSourceDescriptor):
    """Follows a file, or a directory of them, and writes how they fare into another directory.

    A text counts once it was left alone for `poll_s`, so that files may be replaced, written in
    place, or swapped behind a symbolic link (as Kubernetes does with a mounted ConfigMap). A file
    that is not there is no configuration; deleting it removes what it configured. A directory that
    is gone removes nothing.
    """

    path: Annotated[
        str,
        Meta(
            description="A file with one configuration, or a directory with one in each `*.json`, "
            "named by the file without `.json`; hidden files are left out. What is not there yet "
            "is taken as a file unless the path ends in `/`.",
            min_length=1,
        ),
    ]
    poll_s: Annotated[
        float, Meta(description="Look for changes so often, in seconds.", ge=0.01, le=3600)
    ] = 0.5
    status_dir: Annotated[
        str | None,
        Meta(
            description="A directory, created when it is not there, for one JSON report per "
            f"configuration (`{ONLY_DOCUMENT}.json` of a single file): versions, states, fault. "
            "null: no reports. It must lie outside of `path`.",
            min_length=1,
        ),
    ] = None

    def check(self) -> None:
        """Refuse a place where reports would be read as configurations; looks at links."""
        if self.status_dir is None:
            return
        watched, status = os.path.realpath(self.path), os.path.realpath(self.status_dir)
        if os.path.commonpath([watched, status]) == watched:
            place = f"lies inside of path ({self.path})"
        elif os.path.join(status, f"{ONLY_DOCUMENT}.json") == watched:  # noqa: PTH118 - as realpath
            place = f"has the report where path has the configuration ({self.path})"
        else:
            return
        raise ConfigError.at(
            "status_dir", f"found {self.status_dir!r}, which {place}; name another directory"
        )
