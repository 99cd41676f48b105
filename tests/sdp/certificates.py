"""Certificates of an authority of our own, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devservices.etcd import EtcdTls


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_certificates(folder: Path) -> EtcdTls:
    """An authority, and a server and a client that it vouches for."""
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        *("req", "-x509", *new_key, "-keyout", str(ca_key), "-out", str(ca), "-days", "2"),
        *("-subj", "/CN=authority of the tests"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name in ("server", "client"):
        key, request = folder / f"{name}.key", folder / f"{name}.csr"
        extensions = folder / f"{name}.ext"
        extensions.write_text(
            "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
            "keyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
            "authorityKeyIdentifier=keyid\n"
        )
        openssl("req", *new_key, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key)),
            *("-days", "2", "-extfile", str(extensions), "-CAcreateserial"),
            *("-out", str(folder / f"{name}.pem")),
        )
    files = {name: folder / name for name in ("server.pem", "server.key")}
    return EtcdTls(
        ca,
        *(files["server.pem"], files["server.key"]),
        *(folder / "client.pem", folder / "client.key"),
    )
