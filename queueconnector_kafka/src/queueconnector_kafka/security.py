"""What a user writes about TLS and logins of brokers; secrets stand elsewhere, by reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.secret import check_reference

__all__ = ("SecurityOptions",)

_BY_REFERENCE: Final = (
    "a secret does not stand in a configuration; {0}_env or {0}_file say where it is"
)

_OF_TLS: Final = (
    *("ca_file", "cert_file", "key_file", "key_password_env", "key_password_file"),
    *("check_hostname", "tls_strict"),
)
_OF_LOGIN: Final = ("mechanism", "user", "password_env", "password_file")


@attrs.frozen(kw_only=True)
class SecurityOptions:
    """How the brokers are asked who they are, and how they are told who asks."""

    former_options: ClassVar[Mapping[str, str]] = {
        name: _BY_REFERENCE.format(name) for name in ("password", "key_password")
    }

    protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(
            description="What the listener of the brokers speaks: with SSL in its name it is "
            "encrypted and shows a certificate; with SASL a user logs in."
        ),
    ]
    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file of the authorities that vouch for the brokers; left out: those "
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
    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        Meta(
            description="How the user logs in: PLAIN sends the password itself, SCRAM proves that "
            "it is known."
        ),
    ] = None
    user: Annotated[str | None, Meta(description="The user to log in as.", min_length=1)] = None
    password_env: Annotated[
        str | None, Meta(description="The environment variable that holds the password.")
    ] = None
    password_file: Annotated[
        str | None,
        Meta(description="The file that holds the password, such as a mounted secret."),
    ] = None

    @property
    def encrypted(self) -> bool:
        """Whether the connection is one of TLS."""
        return self.protocol.endswith("SSL")

    @property
    def logs_in(self) -> bool:
        """Whether a user logs in."""
        return self.protocol.startswith("SASL")

    def check(self) -> None:
        """Raise `ConfigError` (paths from here) when its options do not go together."""
        if problems := list(self._problems()):
            raise ConfigError(problems)

    def _problems(self) -> Iterator[Problem]:
        if not self.encrypted:
            yield from self._useless(_OF_TLS, "SSL, SASL_SSL")
        if not self.logs_in:
            yield from self._useless(_OF_LOGIN, "SASL_PLAINTEXT, SASL_SSL")
        else:
            for name in ("mechanism", "user"):
                if getattr(self, name) is None:
                    yield Problem(name, f"is required with protocol {self.protocol}")
        required = self.logs_in
        yield from check_reference(self.password_env, self.password_file, required=required)
        yield from check_reference(self.key_password_env, self.key_password_file, "key_password")
        if self.cert_file is None:
            for name in ("key_file", "key_password_env", "key_password_file"):
                if getattr(self, name) is not None:
                    yield Problem(name, "needs the certificate too: cert_file")

    def _useless(self, names: tuple[str, ...], protocols: str) -> Iterator[Problem]:
        defaults = attrs.fields_dict(type(self))
        for name in names:
            if getattr(self, name) != defaults[name].default:
                yield Problem(
                    name, f"has no effect with protocol {self.protocol}; allowed: {protocols}"
                )
