"""Certificates for test servers, made by trustme: good ones, expired ones, for another host, for clients."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme


class ClientFiles(NamedTuple):
    """The files of a client certificate."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of a test; `ca` is the file that a client trusts it by."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca)

    def server(
        self, *, name: str = "localhost", has_expired: bool = False, asks_clients: bool = False
    ) -> ssl.SSLContext:
        """Return the TLS context of a server with a certificate for a name."""
        ends = datetime.now(UTC) - timedelta(days=1) if has_expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name, not_after=ends).configure_cert(context)
        if asks_clients:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, name: str = "ann@example.org") -> ClientFiles:
        """Return the files of a certificate that a client shows."""
        issued = self._ca.issue_cert(name)
        files = ClientFiles(self._folder / "client.pem", self._folder / "client.key")
        issued.private_key_pem.write_to_path(files.key)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(files.certificate, append=number > 0)
        return files
