"""What the device properties say, read with the same checks as a configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import ConfigSourceDescriptor, DtypeLiteral
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure_as
from queueconnector_core.web.options import LOOPBACK, WebOptions
from queueconnector_tango.claims import check_attribute_name, collect
from queueconnector_tango.dtypes import check_attribute

__all__ = (
    "DeviceProperties",
    "FixedAttribute",
    "COMMAND_SETS",
    "hidden_commands",
    "read_config_sources",
    "read_fixed_attributes",
    "database_source",
)

DEFAULT_SIZE: Final = 1024

_TEST_COMMANDS: Final = ("Standby", "Start", "Stop", "Abort")
_CONFIGURING: Final = ("Configure", "Monitor", "IsMonitoringDB", "Reset")

COMMAND_SETS: Final[Mapping[str, Sequence[str]]] = {
    "full": (),
    "configuration": _TEST_COMMANDS,
    "none": (*_TEST_COMMANDS, *_CONFIGURING),
}
"""The values of property `commands`, each with the commands that it hides."""


@attrs.frozen
class DeviceProperties:
    """The properties of a device, as they stand in the Tango database."""

    exchanges_json: str = ""
    exchanges_config_path: str = ""
    subarray_id: str = ""
    config_sources: str = ""
    attributes: str = ""
    autostart: bool = False
    commands: str = "full"
    state_file: str = ""
    web_port: str = ""
    web_host: str = LOOPBACK
    web_token_file: str = ""

    @property
    def web(self) -> WebOptions | None:
        """Where the status page is served, if at all; raises `ConfigError`."""
        return WebOptions.read(self.web_port, self.web_host, self.web_token_file)


@attrs.frozen
class FixedAttribute:
    """An attribute that the device always has; exchanges and, where allowed, clients write it."""

    name: Annotated[str, Meta(description="The name of the attribute.")]
    data_type: Annotated[
        Any, DtypeLiteral(), Meta(description="Its dtype, or Tango type such as DevDouble.")
    ]
    data_format: Annotated[
        Literal["SCALAR", "SPECTRUM", "IMAGE"], Meta(description="Its number of dimensions.")
    ] = "SCALAR"
    writeable: Annotated[bool, Meta(description="Whether clients may write it.")] = False
    max_dim_x: Annotated[int, Meta(description="The largest size of a row, in values.", ge=1)] = (
        DEFAULT_SIZE
    )
    max_dim_y: Annotated[int, Meta(description="The largest number of rows of an image.", ge=1)] = (
        DEFAULT_SIZE
    )

    @property
    def spec(self) -> DataSpec:
        """Its dtype and shape; raises `ConfigError` for what no attribute can be."""
        shapes = {
            "SCALAR": [],
            "SPECTRUM": [self.max_dim_x],
            "IMAGE": [self.max_dim_y, self.max_dim_x],
        }
        try:
            return DataSpec.of(self.data_type, shapes[self.data_format])
        except ConfigError as error:
            options = {"dtype": "data_type", "shape": "data_format"}
            raise ConfigError(
                attrs.evolve(problem, path=options.get(problem.path, problem.path))
                for problem in error.problems
            ) from None

    def check(self) -> None:
        """Raise `ConfigError` with every problem that Tango would have with it."""
        with collect() as problems:
            problems.at("name", check_attribute_name, self.name)
            spec = problems.at("", lambda: self.spec)
            if spec is not None:
                problems.at("data_type", check_attribute, spec)
                if self.writeable and spec.is_bytes:
                    problems.at("writeable", _refuse_written_bytes)


def _refuse_written_bytes() -> None:
    raise ConfigError.at("", "a DevEncoded attribute cannot be written by clients; use false")


def hidden_commands(commands: str) -> Sequence[str]:
    """The commands that property `commands` hides; raises `ConfigError`."""
    if commands not in COMMAND_SETS:
        raise ConfigError.at("commands", f"found {commands!r}; allowed: {', '.join(COMMAND_SETS)}")
    return COMMAND_SETS[commands]


def read_fixed_attributes(text: str, registry: Registry) -> list[FixedAttribute]:
    """Property `attributes`: a JSON list; raises `ConfigError` with paths below `attributes`."""
    found = _read_list("attributes", text, FixedAttribute, registry)
    with collect() as problems:
        seen: set[str] = set()
        for index, declared in enumerate(found):
            problems.at(f"attributes[{index}]", declared.check)
            if declared.name.casefold() in seen:
                problems.at(f"attributes[{index}].name", _refuse_twice, declared.name)
            seen.add(declared.name.casefold())
    return found


def _refuse_twice(name: str) -> None:
    raise ConfigError.at("", f"found {name!r} twice; names must differ, case ignored")


def read_config_sources(text: str, registry: Registry) -> list[ConfigSourceDescriptor]:
    """Property `config_sources`: a JSON list; raises `ConfigError` with paths below it."""
    return _read_list("config_sources", text, ConfigSourceDescriptor, registry)


def database_source(path: str, subarray_id: str, registry: Registry) -> ConfigSourceDescriptor:
    """The source that follows a path of the SDP configuration database.

    `{}` in the path stands for the subarray. The client of the SDP is used where it is installed,
    else etcd is asked directly; both take the address from the variables `SDP_CONFIG_*`. Raises
    `ConfigError`.
    """
    if "{}" in path:
        if not subarray_id.strip():
            raise ConfigError.at("", f"found {path!r}; {{}} needs the property subarray_id")
        path = path.replace("{}", subarray_id.strip())
    kind = "sdp" if importlib.util.find_spec("ska_sdp_config") else "etcd"
    component = registry.lookup(ComponentKind.CONFIG_SOURCE, kind)
    document = {"type": component.name, "path": path}
    return structure_as(document, ConfigSourceDescriptor, registry)


def _read_list(name: str, text: str, of_type: type, registry: Registry) -> list[Any]:
    if not text.strip():
        return []
    try:
        return structure_as(read_json(text), list[of_type], registry)  # type: ignore[valid-type]
    except ConfigError as error:
        raise error.under(name) from None
