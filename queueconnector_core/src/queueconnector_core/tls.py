"""Certificates from PEM files: whom a client trusts, and how it proves who it is."""

from __future__ import annotations

import ssl

from queueconnector_core.errors import ConfigError
from queueconnector_core.secret import Secret

__all__ = ("client_context",)


def client_context(
    ca_file: str | None,
    cert_file: str | None = None,
    key_file: str | None = None,
    key_password: Secret | None = None,
    *,
    strict: bool = True,
) -> ssl.SSLContext:
    """The certificates as they are now.

    Without `ca_file` the authorities of the system are trusted. A key that is not in `key_file`
    stands in `cert_file`. Not `strict`: without the extensions that Python demands since 3.13.
    Reads files, so that it is not for the event loop. Raises `ConfigError` (`ca_file`,
    `cert_file`).
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise _unreadable("ca_file", ca_file, error) from None
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cert_file is not None:
        try:
            # A key with a pass phrase would otherwise ask for it in the terminal.
            context.load_cert_chain(cert_file, key_file, password=key_password or "")
        except (OSError, ValueError) as error:
            files = f"{cert_file} with {key_file or 'its own key'}"
            raise _unreadable("cert_file", files, error) from None
    return context


def _unreadable(option: str, found: str | None, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError.at(
        option, f"found {found!r}: {reason or error}; allowed: a PEM file that can be read"
    )
