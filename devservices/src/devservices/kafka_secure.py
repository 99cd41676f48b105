"""An Apache Kafka that lets in only who may, by password or by certificate."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .certificates import Authority, Certificate
from .kafka import KafkaBroker
from .process import HOST, free_port, temporary_directory

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULE = "org.apache.kafka.common.security"


class SecureKafkaBroker(KafkaBroker):
    """A broker with listeners SASL_SSL, SASL_PLAINTEXT and SSL, and rights that must be granted.

    ``users`` (name: password) log in by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; at SSL a client
    shows a certificate of ``authority``, whose common name is its user. Nobody may do anything
    that ``admin.allow`` did not grant. Only ``bootstrap``, where ``admin`` is, needs no login and
    may do all.

    ``certificates`` adds listeners SASL_SSL by name, each with a certificate of its own.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        settings: Mapping[str, str] | None = None,
        certificates: Mapping[str, Certificate] | None = None,
    ) -> None:
        self._users = users
        self._certificates = certificates or {}
        names = ("SASL_SSL", "SASL_PLAINTEXT", "SSL", *self._certificates)
        self._ports = {name: free_port() for name in names}
        self.authority = Authority(temporary_directory("authority"))
        """Vouches for this broker; its file ``ca`` is what clients need."""
        self._own = self.authority.issue("server")
        super().__init__(name="kafka-secure", settings=settings)

    def address(self, listener: str = "SASL_SSL") -> str:
        """Return the ``host:port`` of a listener."""
        return f"{HOST}:{self._ports[listener]}"

    def _completed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {**values, **self._listeners(values), **self._security()}

    def _listeners(self, values: Mapping[str, str]) -> dict[str, str]:
        more = ",".join(f"{name}://{self.address(name)}" for name in self._ports)
        protocols = (f"{name}:{self._protocol(name)}" for name in self._ports)
        both = ("listeners", "advertised.listeners")
        return {
            **{key: f"{values[key]},{more}" for key in both},
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(
                (values["listener.security.protocol.map"], *protocols)
            ),
        }

    def _protocol(self, listener: str) -> str:
        return listener if listener in {"SASL_PLAINTEXT", "SSL"} else "SASL_SSL"

    def _security(self) -> dict[str, str]:
        found = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Whoever comes by the listeners without a login: the admin, and the node itself.
            "super.users": "User:ANONYMOUS",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca),
            "ssl.keystore.type": "PEM",
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
        }
        for name in self._ports:
            prefix, protocol = f"listener.name.{name.lower()}", self._protocol(name)
            if protocol != "SASL_PLAINTEXT":
                shown = self._certificates.get(name, self._own)
                found |= {
                    f"{prefix}.ssl.keystore.type": "PEM",
                    f"{prefix}.ssl.keystore.location": str(self._key_store(name, shown)),
                }
            if protocol != "SSL":
                found |= _logins(prefix, self._users)
        return found

    def _key_store(self, name: str, certificate: Certificate) -> Path:
        path = self.directory / f"keystore-{name.lower()}.pem"
        path.write_text(certificate.key.read_text() + certificate.cert.read_text())
        return path

    def _format_options(self) -> Sequence[str]:
        scram = [
            f"--add-scram={mechanism}=[name={user},password={password}]"
            for user, password in self._users.items()
            for mechanism in SCRAM
        ]
        return [*super()._format_options(), *scram]


def _logins(prefix: str, users: Mapping[str, str]) -> dict[str, str]:
    entries = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    plain = f"{_MODULE}.plain.PlainLoginModule required {entries};"
    scram = f"{_MODULE}.scram.ScramLoginModule required;"
    return {
        f"{prefix}.plain.sasl.jaas.config": plain,
        **{f"{prefix}.{name.lower()}.sasl.jaas.config": scram for name in SCRAM},
    }
