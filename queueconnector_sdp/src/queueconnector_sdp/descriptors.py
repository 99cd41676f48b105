"""What a user writes about a configuration database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

import attrs
from msgspec import Meta

from queueconnector_core.descriptors import ConfigSourceDescriptor, OneOrMany
from queueconnector_core.errors import ConfigError
from queueconnector_core.secret import by_reference, check_reference
from queueconnector_core.tls import TlsOptions

__all__ = (
    "DatabaseOptions",
    "EtcdConfigSourceDescriptor",
    "SdpConfigSourceDescriptor",
    "DEFAULT_PORT",
    "PASSWORD_VARIABLE",
)

DEFAULT_PORT: Final = 2379
"""The port of a server that is written without one."""

PASSWORD_VARIABLE: Final = "SDP_CONFIG_PASSWORD"  # noqa: S105 - its name, not its value
"""The environment variable that holds the password when no option says where it is."""

Server = Annotated[
    str,
    Meta(
        description="http://host:2379 or https://host:2379, or host:2379, or host alone",
        pattern=r"^(?:https?://)?[^\x00-\x20/?#]+/?$",
    ),
]
Name = Annotated[str, Meta(description="a name without /", pattern=r"^[^/]+$")]


@attrs.frozen(kw_only=True)
class DatabaseOptions(ConfigSourceDescriptor):
    """The options that both ways into the database share."""

    path: Annotated[
        str,
        Meta(
            description="The path whose children are the documents, such as "
            "/component/lmc-queueconnector-01/owner: with a leading slash, without one at the end.",
            pattern=r"^(?:/[^/]+)+$",
            examples=["/component/lmc-queueconnector-01/owner"],
        ),
    ]
    global_prefix: Annotated[
        str,
        Meta(
            description="What stands before every path of the database, such as /test; the same "
            "as the global_prefix of ska-sdp-config.",
            pattern=r"^(?:/[^/]+)*$",
        ),
    ] = ""
    mode: Annotated[
        Literal["children", "value"],
        Meta(
            description="children: each direct child of the path is a document, and a value at the "
            'path itself is the document "default". value: the value at the path is the only one.'
        ),
    ] = "children"
    state_name: Annotated[
        Name, Meta(description="The key below a document that its state is written to.")
    ] = "state"
    fault_name: Annotated[
        Name, Meta(description="The key below a document that its fault is written to.")
    ] = "fault"
    reset_grace_s: Annotated[
        float,
        Meta(
            description="How many seconds streams go on when the database came back empty, in case "
            "their configuration returns.",
            ge=0,
        ),
    ] = 30.0

    def check(self) -> None:
        """Raise `ConfigError` when its options do not go together."""
        if self.state_name == self.fault_name:
            raise ConfigError.at("fault_name", "is the same as state_name; allowed: another name")

    @property
    def root(self) -> str:
        """The path with the prefix before it."""
        return self.global_prefix + self.path


@attrs.frozen(kw_only=True)
class EtcdConfigSourceDescriptor(DatabaseOptions, TlsOptions):
    """Follows a path of etcd version 3, through its JSON gateway, in the layout of the SDP.

    The state and the fault of each document are written back beside it. Without `ca_file` the one
    that SDP_CONFIG_CERT of the environment names is used.
    """

    former_options: ClassVar[Mapping[str, str]] = by_reference("password", "key_password")

    servers: Annotated[
        tuple[Server, ...],
        OneOrMany(),
        Meta(
            description="The server, or a list of members of one cluster, of which one is used at "
            f"a time: URLs, or host or host:port (default port {DEFAULT_PORT}). Left out: "
            "SDP_CONFIG_HOST, SDP_CONFIG_PORT and SDP_CONFIG_PROTOCOL of the environment, "
            "else http://127.0.0.1:2379."
        ),
    ] = ()
    user: Annotated[
        str | None,
        Meta(
            description="The user to log in as; left out: SDP_CONFIG_USERNAME of the environment, "
            "else nobody logs in."
        ),
    ] = None
    password_env: Annotated[
        str | None,
        Meta(
            description="The environment variable that holds the password; left out, without "
            f"password_file: {PASSWORD_VARIABLE}."
        ),
    ] = None
    password_file: Annotated[
        str | None,
        Meta(description="The file that holds the password, such as a mounted secret."),
    ] = None
    audit_s: Annotated[
        float,
        Meta(
            description="After so many seconds without news the database is asked whether there "
            "is any; nothing else notices a server that is frozen.",
            ge=0.1,
            le=600,
        ),
    ] = 5.0
    timeout_s: Annotated[
        float,
        Meta(description="Seconds after which an answer is no longer awaited.", ge=0.1, le=60),
    ] = 3.0
    lease_ttl_s: Annotated[
        int,
        Meta(
            description="Seconds after which the written states vanish when this program died.",
            ge=2,
            le=3600,
        ),
    ] = 10

    def check(self) -> None:
        """Raise `ConfigError` when its options do not go together."""
        super().check()
        for server in self.servers:
            _check_server(server)
        references = check_reference(self.password_env, self.password_file)
        if problems := [*references, *self.tls_problems()]:
            raise ConfigError(problems)


def _check_server(server: str) -> None:
    """Raise `ConfigError` that does not repeat what may be a secret."""
    if "@" in server:
        raise ConfigError.at(
            "servers", "user and password do not belong into an address; see user, password_env"
        )
    try:
        parts = urlsplit(server if "://" in server else f"//{server}")
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ConfigError.at("servers", f"found {server!r}; allowed: http://host:port")


@attrs.frozen(kw_only=True)
class SdpConfigSourceDescriptor(DatabaseOptions):
    """Follows a path of the SKA SDP configuration database by the library ska-sdp-config.

    Which database that is, and how to log in, the library takes from SDP_CONFIG_* of the
    environment. The state and the fault of each document are written back beside it.
    """

    poll_s: Annotated[
        float,
        Meta(
            description="Seconds after which the database is read even if the library reports no "
            "change: it may not have noticed that its server restarted.",
            ge=0.1,
            le=600,
        ),
    ] = 2.0
