"""What a user writes about TLS and logins of brokers; secrets stand elsewhere, by reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.secret import Secret, SecretReference, by_reference, check_reference
from queueconnector_core.tls import TlsOptions

__all__ = ("SecurityOptions",)

_OF_LOGIN: Final = ("mechanism", "user", "password_env", "password_file")


@attrs.frozen(kw_only=True)
class SecurityOptions(TlsOptions):
    """How the brokers are asked who they are, and how they are told who asks."""

    former_options: ClassVar[Mapping[str, str]] = by_reference("password", "key_password")

    protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(
            description="What the listener of the brokers speaks: with SSL in its name it is "
            "encrypted and shows a certificate; with SASL a user logs in."
        ),
    ]
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

    def password(self) -> Secret:
        """The password as it is now.

        Reads a file, so that it is not for the event loop. Raises `FatalError`.
        """
        what = f"password of user {self.user!r}"
        return SecretReference(what, self.password_env, self.password_file).read()

    def check(self) -> None:
        """Raise `ConfigError` (paths from here) when its options do not go together."""
        if problems := list(self._problems()):
            raise ConfigError(problems)

    def _problems(self) -> Iterator[Problem]:
        if not self.encrypted:
            yield from self._useless(tuple(attrs.fields_dict(TlsOptions)), "SSL, SASL_SSL")
        if not self.logs_in:
            yield from self._useless(_OF_LOGIN, "SASL_PLAINTEXT, SASL_SSL")
        else:
            for name in ("mechanism", "user"):
                if getattr(self, name) is None:
                    yield Problem(name, f"is required with protocol {self.protocol}")
        required = self.logs_in
        yield from check_reference(self.password_env, self.password_file, required=required)
        yield from self.tls_problems()

    def _useless(self, names: tuple[str, ...], protocols: str) -> Iterator[Problem]:
        defaults = attrs.fields_dict(type(self))
        for name in names:
            if getattr(self, name) != defaults[name].default:
                yield Problem(
                    name, f"has no effect with protocol {self.protocol}; allowed: {protocols}"
                )
