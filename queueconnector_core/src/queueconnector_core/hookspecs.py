"""The one hook of a plugin, and the marker that implements it."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from queueconnector_core.component import ComponentType

__all__ = ("PROJECT_NAME", "hookimpl", "queueconnector_components")

PROJECT_NAME = "queueconnector"
"""The entry-point group of plugins, and the project name of their hooks."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
"""Decorate a module-level function `queueconnector_components` with it."""


@hookspec
def queueconnector_components() -> Iterable[ComponentType]:  # type: ignore[empty-body]
    """The component types of this plugin; called once, when a host starts.

    It must not connect to anything, nor import a transport library: factories do that.
    """
