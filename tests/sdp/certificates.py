"""Certificates of an authority of our own, in the form that the server of the tests takes."""

from __future__ import annotations

from pathlib import Path

from devservices.certificates import Authority
from devservices.etcd import EtcdTls


def make_certificates(folder: Path) -> EtcdTls:
    """An authority, and a server and a client that it vouches for."""
    authority = Authority(folder)
    server, client = authority.issue("server"), authority.issue("client")
    return EtcdTls(authority.ca, server.cert, server.key, client.cert, client.key)
