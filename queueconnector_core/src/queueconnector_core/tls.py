"""Certificates from PEM files: whom a client trusts, and how it proves who it is."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import attrs
from msgspec import Meta

from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.secret import Secret, SecretReference, by_reference, check_reference

__all__ = ("TlsOptions",)


@attrs.frozen(kw_only=True, slots=False)  # slots would forbid it beside another base with options
class TlsOptions:
    """The options of a client that speaks TLS: to be inherited by those that a user writes."""

    former_options: ClassVar[Mapping[str, str]] = by_reference("key_password")

    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file of the authorities that vouch for the servers; left out: those "
            "of the system."
        ),
    ] = None
    cert_file: Annotated[
        str | None,
        Meta(description="PEM file of the certificate by which this client proves who it is."),
    ] = None
    key_file: Annotated[
        str | None,
        Meta(description="PEM file of its private key; left out: it stands in cert_file."),
    ] = None
    key_password_env: Annotated[
        str | None,
        Meta(description="The environment variable that holds the pass phrase of the key."),
    ] = None
    key_password_file: Annotated[
        str | None, Meta(description="The file that holds the pass phrase of the key.")
    ] = None
    check_hostname: Annotated[
        bool,
        Meta(
            description="false: accept a certificate that an authority vouches for, whatever host "
            "it names."
        ),
    ] = True
    tls_strict: Annotated[
        bool,
        Meta(
            description="false: accept certificates without the newer extensions that Python 3.13 "
            "demands (VERIFY_X509_STRICT)."
        ),
    ] = True

    def tls_problems(self) -> Iterator[Problem]:
        """Why these options do not go together."""
        yield from check_reference(self.key_password_env, self.key_password_file, "key_password")
        if self.cert_file is None:
            for name in ("key_file", "key_password_env", "key_password_file"):
                if getattr(self, name) is not None:
                    yield Problem(name, "needs the certificate too: cert_file")

    def certificates(self, ca_file: str | None = None) -> ssl.SSLContext:
        """The certificates as they are now; `ca_file` stands in for the option that is left out.

        Reads files, so that it is not for the event loop. Raises `ConfigError` (`ca_file`,
        `cert_file`), and `FatalError` when there is no pass phrase where it is said to be.
        """
        context = _trusting(self.ca_file or ca_file)
        if not self.tls_strict:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = self.check_hostname
        if self.cert_file is not None:
            self._load(context, self.cert_file)
        return context

    def key_password(self) -> Secret | None:
        """The pass phrase of the key as it is now; None: the options name none.

        Reads a file, so that it is not for the event loop. Raises `FatalError`.
        """
        env, file = self.key_password_env, self.key_password_file
        if env is None and file is None:
            return None
        return SecretReference("pass phrase of the key", env, file, "key_password").read()

    def _load(self, context: ssl.SSLContext, cert_file: str) -> None:
        # A key with a pass phrase would otherwise ask for it in the terminal.
        phrase = self.key_password() or ""
        try:
            context.load_cert_chain(cert_file, self.key_file, password=phrase)
        except (OSError, ValueError) as error:
            files = f"{cert_file} with {self.key_file or 'its own key'}"
            raise _unreadable("cert_file", files, error) from None


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise _unreadable("ca_file", ca_file, error) from None


def _unreadable(option: str, found: str | None, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError.at(
        option, f"found {found!r}: {reason or error}; allowed: a PEM file that can be read"
    )
