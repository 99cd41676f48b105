"""Where the operator's view is served, and who may change something through it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import attrs

from queueconnector_core.errors import ConfigError, FatalError
from queueconnector_core.secret import Secret, SecretReference

if TYPE_CHECKING:
    from queueconnector_core.connector import Connector
    from queueconnector_core.web.server import WebServer

__all__ = ("WebOptions", "serve", "LOOPBACK")

LOOPBACK: Final = "127.0.0.1"

MIN_TOKEN: Final = 16
"""A token that is shorter could be guessed."""

_LIBRARIES: Final = ("aiohttp", "prometheus_client")


@attrs.frozen
class WebOptions:
    """An address, and the file that holds the token of those who may pause, restart and stop."""

    port: int
    """0: any free one."""
    host: str = LOOPBACK
    token_file: str = ""
    """Empty: nobody may change anything."""

    @classmethod
    def read(cls, port: str, host: str, token_file: str) -> WebOptions | None:
        """The options from texts; None where no port is given.

        Raises `ConfigError` at `web_port`.
        """
        if not port.strip():
            return None
        if not (port.strip().isascii() and port.strip().isdecimal() and int(port) < 65_536):
            text = f"found {port!r}; allowed: a number from 0 (any free port) to 65535, or nothing"
            raise ConfigError.at("web_port", text)
        return cls(int(port), host.strip() or LOOPBACK, token_file.strip())

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def token(self) -> Secret | None:
        """The token as it is now; reads a file. Raises `ConfigError` at `web_token_file`."""
        if not self.token_file:
            return None
        reference = SecretReference("token", None, self.token_file, "web_token")
        try:
            token = reference.read()
        except FatalError as error:
            raise ConfigError.at("web_token_file", str(error)) from None
        if len(token) < MIN_TOKEN:
            raise ConfigError.at(
                "web_token_file", f"the token has fewer than {MIN_TOKEN} characters"
            )
        return token


async def serve(connector: Connector, options: WebOptions) -> WebServer:
    """Serve the view of a connector until `close`.

    Raises `ConfigError` when the extra is missing, or the address or the token cannot be had.
    """
    try:
        from queueconnector_core.web.server import WebServer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _LIBRARIES:
            raise
        text = "it needs: pip install 'queueconnector-core[web]'"
        raise ConfigError.at("web_port", text) from None
    server = WebServer(connector, options)
    await server.start()
    return server
