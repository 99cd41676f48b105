"""`queueconnector dlq`: look at dead letters, repair them, drive them again."""

from __future__ import annotations

from cyclopts import App

from queueconnector_core.cli.dlq.redriving import redrive
from queueconnector_core.cli.dlq.showing import list_letters, show

__all__ = ("app",)

app = App(name="dlq", help="Look at dead letters, repair them, and drive them again.")
app.command(list_letters, name="list")
app.command(show, name="show")
app.command(redrive, name="redrive")
