"""The table of commands."""

from __future__ import annotations

from cyclopts import App

from queueconnector_core.cli.dlq import app as dlq
from queueconnector_core.cli.gaps import gaps
from queueconnector_core.cli.list_plugins import list_plugins
from queueconnector_core.cli.run import run
from queueconnector_core.cli.schema import schema
from queueconnector_core.cli.tap import tap
from queueconnector_core.cli.top import top

__all__ = ("app",)

app = App(
    name="queueconnector",
    help="Stream data between control systems and message queues.",
    result_action="return_value",
)
app.command(run, name="run")
app.command(list_plugins, name="list")
app.command(schema, name="schema")
app.command(dlq)
app.command(gaps, name="gaps")
app.command(tap, name="tap")
app.command(top, name="top")
