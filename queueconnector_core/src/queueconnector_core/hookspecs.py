"""The hooks of a plugin, and the marker that implements them."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from queueconnector_core.component import ComponentType

__all__ = (
    "API_VERSION",
    "PROJECT_NAME",
    "hookimpl",
    "queueconnector_components",
    "queueconnector_api_version",
)

API_VERSION = 1
"""The version of what core promises to plugins; it grows when a plugin would have to be changed."""

PROJECT_NAME = "queueconnector"
"""The entry-point group of plugins, and the project name of their hooks."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
"""Decorate a module-level function that is named like a hook with it."""


@hookspec
def queueconnector_components() -> Iterable[ComponentType]:  # type: ignore[empty-body]
    """The component types of this plugin; called once, when a host starts.

    It must not connect to anything, nor import a transport library: factories do that.
    """


@hookspec(firstresult=True)
def queueconnector_api_version() -> int:  # type: ignore[empty-body]
    """The `API_VERSION` that this plugin was written for; without this hook it is 1.

    A plugin that was written for another one than core has is not loaded, and says so.
    """
