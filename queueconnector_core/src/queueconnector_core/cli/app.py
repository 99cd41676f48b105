"""The table of commands. Each is imported when it is called, so that help comes at once."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Final

from cyclopts import App

__all__ = ("COMMANDS", "make_app")

CLI: Final = "queueconnector_core.cli"

COMMANDS: Final = {
    "list": ("list_plugins:list_plugins", "List the installed plugins and component types."),
    "explain": ("explain:explain", "Explain a component type, an encoding, or the configuration."),
    "schema": ("schema:schema", "Print the JSON schema of a configuration."),
    "check": ("check:check", "Say everything that is wrong with configurations."),
    "test": ("trial:trial", "Run the tests of a configuration."),
    "graph": ("graph:graph", "Draw a configuration: sources, pipes, sinks and what flows."),
    "convert": ("convert:convert", "Bring a configuration of an older release up to date."),
    "run": ("run:run", "Run the exchanges of a configuration."),
    "top": ("top:top", "Show a running host, live, with keys to act on it."),
    "tap": ("tap:tap", "Print the records of a running host as they pass."),
    "record": ("record:record", "Write the records of a running host to a file."),
    "replay": ("replay:replay", "Feed a recording to an exchange."),
    "diff": ("diff:diff", "Compare two recordings."),
    "gaps": ("gaps:gaps", "Print what a run knows to be missing."),
    "new-plugin": ("new_plugin:new_plugin", "Begin a plugin of your own."),
    "dlq": ("dlq:app", "Look at dead letters, repair them, and drive them again."),
}
"""Module and function below this package, and the line of help, by name of the command."""

EPILOGUE: Final = "Each command has more help: queueconnector check --help."


def make_app(arguments: Sequence[str] = ()) -> App:
    """The application; the command that `arguments` begin with shows its own, longer help."""
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    app = App(
        name="queueconnector",
        help="Stream data between control systems and message queues.",
        help_epilogue=EPILOGUE,
        version=lambda: metadata.version("queueconnector-core"),
        result_action="return_value",
        # The library of Markdown would take as long to load as everything else together.
        help_format="plaintext" if chosen is None else None,
    )
    for name, (target, line) in COMMANDS.items():
        if name == chosen:
            app.command(f"{CLI}.{target}", name=name)
        else:
            app.command(f"{CLI}.{target}", name=name, help=line)
    app.register_install_completion_command(help="Install completion for bash, zsh or fish.")
    return app
