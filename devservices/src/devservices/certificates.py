"""Certificates of an authority of our own, made by openssl."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ServiceFailed, ServiceUnavailable
from .process import HOST

VALID_DAYS = 2
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate and of its private key (PKCS #8)."""

    cert: Path
    key: Path


def openssl(*arguments: str) -> None:
    """Run openssl; raises ServiceUnavailable without it, ServiceFailed with its message."""
    program = shutil.which("openssl")
    if program is None:
        raise ServiceUnavailable("openssl", "no openssl on PATH", "apt-get install openssl")
    command = [program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceFailed(f"openssl {arguments[0]}: {result.stderr.strip()}")


class Authority:
    """Vouches for the certificates that it issues; all its files are in ``folder``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self.ca = folder / f"{name}.pem"
        """The PEM file that whoever is to trust it needs."""
        self._key = folder / f"{name}.key"
        openssl(
            *("req", "-x509", *_NEW_KEY, "-nodes", "-days", str(VALID_DAYS)),
            *("-keyout", str(self._key), "-out", str(self.ca), "-subj", f"/CN={name} of the tests"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = (f"IP:{HOST}", "DNS:localhost"),
        *,
        expired: bool = False,
        pass_phrase: str | None = None,
    ) -> Certificate:
        """Return a new certificate, for servers and clients, with the common name ``name``.

        ``hosts`` are its subject alternative names. An expired one ended yesterday. With a
        ``pass_phrase`` the key is encrypted.
        """
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={','.join(hosts)}\n"
            "keyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
            "authorityKeyIdentifier=keyid\n"
        )
        closed = ("-nodes",) if pass_phrase is None else ("-passout", f"pass:{pass_phrase}")
        openssl(
            *("req", *_NEW_KEY, *closed, "-keyout", str(key), "-out", str(request)),
            *("-subj", f"/CN={name}"),
        )
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self._key)),
            *("-days", str(-1 if expired else VALID_DAYS), "-extfile", str(extensions)),
            *("-CAcreateserial", "-out", str(cert)),
        )
        return Certificate(cert, key)
