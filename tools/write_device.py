"""Write the reference of the device server, and the picture of its states, into the documentation.

The properties, commands and attributes are those of the device class, the states and moves those
of the table. Run it by `make reference`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import tango

from queueconnector_core import states
from queueconnector_core.states import TRANSITIONS, State
from queueconnector_tango.device import SDPQueueConnector
from queueconnector_tango.properties import COMMAND_SETS
from states_picture import picture
from workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "device.md"
PICTURE = ROOT / "docs" / "pictures" / "states.svg"

DEVICE: Final[Any] = SDPQueueConnector.TangoClassClass
"""The tables that PyTango keeps of properties, commands and attributes."""

TYPES: Final = {
    tango.CmdArgType.DevString: "Text",
    tango.CmdArgType.DevVarStringArray: "Text, in one line or several",
    tango.CmdArgType.DevBoolean: "Boolean",
}

HEAD = """\
# The device server

Class and command `SDPQueueConnector`, one device for each server process. How it is deployed is
told in [deploy with a Tango database](../how-to/deploy-tango-database.md), how it is operated in
[operate](../how-to/operate.md). This page is written from the code.
"""

STATES_HEAD = """\
## States

Each group of exchanges has a state of its own. The state of the device is FAULT if any group is
in FAULT; else CLOSE or OPEN if any is on its way; else ON if any streams; else OFF if any is
configured; else STANDBY. A command acts on each group whose state allows it, and is refused when
none does.

![The states and the moves between them, as in the table below.](../pictures/states.svg)
"""

MOVES_HEAD = """\
## Moves

In *italics* what happens by itself; all others are commands.
"""

COMMANDS_HEAD = """\
## Commands

A command returns after two seconds at the latest; what it began goes on, and shows in State and
Status. A refused command changes nothing. It fails with the reason `QueueConnector_StateError`
(the state does not allow it), `QueueConnector_ConfigError` (every problem of the configuration,
with its place) or `QueueConnector_InternalError` (a defect; the log has more).

Property `commands` hides some of them:
"""

ATTRIBUTES_HEAD = """\
## Attributes

State, Status and these push change events. More attributes come with the configuration, by sinks
such as [TangoLocalAttributeSink](components.md#tangolocalattributesink), and with property
`attributes`.
"""


def page_text() -> str:
    """The text of the page."""
    lines = [HEAD, STATES_HEAD, "| state | means |", "| --- | --- |"]
    lines += [f"| {state.value} | {text} |" for state, text in _meanings()]
    lines += ["", MOVES_HEAD, "| in state | on | to |", "| --- | --- | --- |", *_moves(), ""]
    lines += ["## Properties\n", *_properties(), COMMANDS_HEAD]
    lines += ["| `commands` | hides |", "| --- | --- |"]
    hidden = {name: ", ".join(names) or "nothing" for name, names in COMMAND_SETS.items()}
    lines += [f"| `{name}` | {names} |" for name, names in hidden.items()]
    lines += ["", *_commands(), ATTRIBUTES_HEAD, *_attributes()]
    return "\n".join(lines).rstrip() + "\n"


def _meanings() -> Iterator[tuple[State, str]]:
    """Each state with its docstring."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(states)).body
        if isinstance(node, ast.ClassDef) and node.name == State.__name__
    )
    for member, text in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            yield State(ast.literal_eval(member.value)), _line(ast.literal_eval(text.value))


def _moves() -> Iterator[str]:
    for move in TRANSITIONS:
        trigger = f"*{move.trigger.value}*" if move.trigger.automatic else move.trigger.value
        yield f"| {move.source.value} | {trigger} | {move.target.value} |"


def _properties() -> Iterator[str]:
    for name, (dtype, doc, default, _) in DEVICE.device_property_list.items():
        told = f"default `{json.dumps(default)}`" if default else "empty by default"
        told = "default `false`" if default is False else told
        yield f"### `{name}`\n\n{TYPES[dtype]}, {told}.\n\n{doc}\n"


def _commands() -> Iterator[str]:
    for name, (argument, result, _) in DEVICE.cmd_list.items():
        yield f"### `{name}`\n\n{_line(inspect.getdoc(getattr(SDPQueueConnector, name)))}\n"
        if argument[0] is not tango.CmdArgType.DevVoid:
            yield f"Argument ({argument[0]}): {argument[1]}\n"
        if result[0] is not tango.CmdArgType.DevVoid:
            yield f"Returns {result[0]}.\n"


def _attributes() -> Iterator[str]:
    for name, declared in DEVICE.attr_list.items():
        yield f"### `{name}`\n\n{declared.attr_type}. {declared.__doc__}\n"


def _line(text: str | None) -> str:
    """A docstring in one line."""
    return " ".join((text or "").split())


def write() -> None:
    """Write the page and the picture."""
    for path, text in ((PAGE, page_text()), (PICTURE, picture())):
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
