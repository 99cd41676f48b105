"""How to reach the servers: addresses, certificates, and who logs in with which password."""

from __future__ import annotations

import os
import ssl

import attrs

from queueconnector_core.errors import ConfigError
from queueconnector_core.secret import Secret, SecretReference
from queueconnector_sdp.descriptors import (
    DEFAULT_PORT,
    PASSWORD_VARIABLE,
    EtcdConfigSourceDescriptor,
)

__all__ = ("Connection",)


@attrs.frozen
class Connection:
    """What the options say, and the environment where they say nothing.

    The password is no part of it: it is read when it is needed, so that a new one is found, and it
    stands in no text that could be shown.
    """

    servers: tuple[str, ...]
    user: str | None
    timeout_s: float
    options: EtcdConfigSourceDescriptor

    @classmethod
    def of(cls, options: EtcdConfigSourceDescriptor) -> Connection:
        """Raises `ConfigError` for certificates that cannot be read."""
        user = options.user or os.environ.get("SDP_CONFIG_USERNAME") or None
        connection = cls(_servers(options), user, options.timeout_s, options)
        connection.tls()
        return connection

    @property
    def where(self) -> str:
        """The servers, for messages."""
        return ", ".join(self.servers)

    def password(self) -> Secret:
        """The password as it is now; raises `FatalError` that says where it was sought."""
        options = self.options
        name = options.password_env or PASSWORD_VARIABLE
        what = f"password of user {self.user!r}"
        return SecretReference(what, name, options.password_file).read()

    def tls(self) -> ssl.SSLContext | None:
        """The certificates as they are now, None without https; raises `ConfigError`."""
        if not any(server.startswith("https:") for server in self.servers):
            return None
        return self.options.certificates(os.environ.get("SDP_CONFIG_CERT") or None)


def _servers(options: EtcdConfigSourceDescriptor) -> tuple[str, ...]:
    environment = os.environ
    written = options.servers or (environment.get("SDP_CONFIG_HOST") or "127.0.0.1",)
    secure = options.ca_file is not None or options.cert_file is not None
    scheme = environment.get("SDP_CONFIG_PROTOCOL") or "http"
    port = DEFAULT_PORT
    if options.servers:
        scheme = "https" if secure else "http"
    else:
        try:
            port = int(environment.get("SDP_CONFIG_PORT") or DEFAULT_PORT)
        except ValueError:
            raise ConfigError.at(
                "servers",
                f"SDP_CONFIG_PORT is {environment['SDP_CONFIG_PORT']!r}; allowed: an integer",
            ) from None
    return tuple(_url(server, scheme, port) for server in written)


def _url(server: str, scheme: str, port: int) -> str:
    address = server.rstrip("/")
    if "://" not in address:
        address = f"{scheme}://{address}"
    host = address.partition("://")[2]
    has_port = ":" in host.rpartition("]")[2]
    return address if has_port else f"{address}:{port}"
