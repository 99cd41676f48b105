"""How to reach the servers: addresses, certificates, and who logs in with which password."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import attrs

from queueconnector_core.errors import ConfigError, FatalError
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

    @property
    def _ca_file(self) -> str | None:
        return self.options.ca_file or os.environ.get("SDP_CONFIG_CERT") or None

    def password(self) -> str:
        """The password; raises `FatalError` that says where it was sought."""
        if self.options.password_file is not None:
            try:
                return Path(self.options.password_file).read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise FatalError(
                    f"no password of user {self.user!r}: password_file "
                    f"{self.options.password_file!r}: {reason}"
                ) from None
        name = self.options.password_env or PASSWORD_VARIABLE
        try:
            return os.environ[name]
        except KeyError:
            raise FatalError(
                f"no password of user {self.user!r}: the environment variable {name} is not set; "
                "password_env or password_file say where the password is"
            ) from None

    def tls(self) -> ssl.SSLContext | None:
        """The certificates as they are now, None without https; raises `ConfigError`."""
        if not any(server.startswith("https:") for server in self.servers):
            return None
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ValueError) as error:
            raise _unreadable("ca_file", self._ca_file, error) from None
        if not self.options.tls_strict:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.options.cert_file is not None:
            try:
                # A key with a pass phrase would otherwise ask for it in the terminal.
                context.load_cert_chain(self.options.cert_file, self.options.key_file, password="")
            except (OSError, ValueError) as error:
                files = f"{self.options.cert_file} with {self.options.key_file or 'its own key'}"
                raise _unreadable("cert_file", files, error) from None
        return context


def _unreadable(option: str, found: str | None, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError.at(
        option, f"found {found!r}: {reason or error}; allowed: a PEM file that can be read"
    )


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
