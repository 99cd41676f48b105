"""Certificates and logins: what aiokafka needs of them, and why a broker refuses them.

aiokafka logs such reasons and raises without them; here each server is asked first. The secrets
are read at each start and stand nowhere but in the client.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection

from queueconnector_core.errors import ConfigError, FatalError
from queueconnector_kafka.descriptors import TopicOptions
from queueconnector_kafka.security import SecurityOptions

__all__ = ("Access", "access", "refusal")

Access: TypeAlias = Mapping[str, Any]
"""The arguments of aiokafka's clients that are about security; empty without any."""

LOGIN_TIMEOUT_MS: Final = 3_000
CLOSE_TIMEOUT_S: Final = 1.0

_REFUSED: Final = (
    errors.SaslAuthenticationFailed,
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.SecurityDisabled,
)


class _WithoutLogins(logging.Filter):
    """Drops what aiokafka tells of a login at level DEBUG: for PLAIN that is the password."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.args if isinstance(record.args, tuple) else (record.args,)
        return not any(type(part).__name__.startswith("Sasl") for part in told)


# On import, as no client exists before; a filter of a logger sees what any handler would get.
logging.getLogger("aiokafka.conn").addFilter(_WithoutLogins())


async def access(options: TopicOptions) -> Access:
    """Read the certificates and secrets as they are now.

    Raises `FatalError` that names the topic and what cannot be read, and no secret.
    """
    if options.security is None or options.security.protocol == "PLAINTEXT":
        return {}
    try:
        return await asyncio.to_thread(_settings, options.security)
    except (ConfigError, FatalError) as error:
        reason = str(error)
    raise FatalError(f"no access to {options.where}: {reason}")


def _settings(security: SecurityOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"security_protocol": security.protocol}
    if security.encrypted:
        found["ssl_context"] = security.certificates()
    if security.logs_in:
        found |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.user,
            "sasl_plain_password": security.password(),
        }
    return found


async def refusal(host: str, port: int, given: Access) -> str:
    """Why a server refuses this client for good; empty when it lets it in.

    Raises `OSError` or `TimeoutError` where it may be a matter of time.
    """
    closes = asyncio.Event()  # set only where there was a socket
    connection = AIOKafkaConnection(
        host,
        port,
        client_id="queueconnector",
        request_timeout_ms=LOGIN_TIMEOUT_MS,
        on_close=lambda *_: closes.set(),
        **given,
    )
    try:
        await connection.connect()
    except _REFUSED as error:
        return _login_refused(error, given)
    except (ssl.SSLEOFError, ConnectionResetError):
        # What a broker does that goes down, or that takes the greeting of TLS for a request.
        told = "it closed the connection"
    except ssl.SSLError as error:
        return _not_trusted(error)
    except errors.KafkaError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return _not_trusted(cause)
        told = "it closed the connection"
    else:
        return ""
    finally:
        closed = connection.close()
        if closes.is_set():
            # The socket closes a little later; with TLS the server has a say in when.
            await asyncio.wait({closed}, timeout=CLOSE_TIMEOUT_S)
    protocol = given["security_protocol"]
    raise ConnectionError(f"{told}; perhaps this port does not speak {protocol}")


def _login_refused(error: Exception, given: Access) -> str:
    user, mechanism = given["sasl_plain_username"], given["sasl_mechanism"]
    return f"user {user!r} may not log in by {mechanism}: {error}"


def _not_trusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS there; another port, or another protocol"
    if "ALERT" in (error.reason or "").upper() or "CERTIFICATE" in (error.reason or ""):
        return f"it refuses the certificate of this client, or that there is none: {error.reason}"
    return f"TLS failed: {error.reason or error}"
