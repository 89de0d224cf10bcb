"""OpenSSH's sshd on loopback, with a host key, a user key and an SFTP server of its own, below a folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.polling import wait_until
from tests.servers.free_port import free_port

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
"""Comes with sshd: its SFTP server as a program of its own."""

INTERNAL_SFTP = "Subsystem sftp internal-sftp"

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

needs_openssh = pytest.mark.skipif(
    not Path(SSHD).exists(), reason="the package openssh-server is not installed"
)

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
{subsystem}
{more}
"""


class OpenSsh:
    """A running sshd.

    Attributes:
        port: where it listens on 127.0.0.1.
        folder: keys, configuration and log.
        root: an empty folder for files; clients name it absolutely.
        user: whom it lets in with `user_key`.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.root = folder / "files"
        self.user = getpass.getuser()
        self.user_key = folder / "user_key"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        """The public host key in one line."""
        return (self.folder / "host_key.pub").read_text().strip()

    def config(self, **more: Any) -> dict[str, Any]:
        """Return the config of a resource that reaches it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "pkey_path": str(self.user_key),
            "host_key": self.host_key,
            **more,
        }

    def start(self) -> None:
        """Start it, and wait until it says that it listens.

        A connection that is accepted would not show it: a child of the server before has the same
        socket for a moment after its parent ended.
        """
        log = self.folder / "sshd.log"
        log.touch()
        before = len(log.read_bytes())
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(log)], stdin=subprocess.DEVNULL
        )
        process = self.process

        def listens() -> bool:
            written = log.read_bytes()[before:]
            assert process.poll() is None, f"sshd ended: {written!r}"
            return b"Server listening on" in written

        wait_until(listens, "sshd does not listen")

    def stop(self) -> None:
        """Stop it, and wait until nothing listens on its port; sessions that are open live on."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None
            wait_until(self._nothing_listens, "a child of sshd still listens")

    def _nothing_listens(self) -> bool:
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ended connections do not count
            probe.bind(("127.0.0.1", self.port))
            return True
        return False


def new_key(path: Path, passphrase: str | None = None, kind: str = "ssh-ed25519") -> None:
    """Write a private key and, with `.pub`, its public key."""
    key = asyncssh.generate_private_key(kind)
    key.write_private_key(path, passphrase=passphrase, rounds=1, ignore_few_rounds=True)
    path.chmod(0o600)
    key.write_public_key(f"{path}.pub")


@contextmanager
def openssh(folder: Path, more: str = "", *, subsystem: str = INTERNAL_SFTP) -> Iterator[OpenSsh]:
    """Run an sshd in a block.

    Args:
        folder: keeps keys, configuration, log and files.
        more: further lines of its configuration.
        subsystem: the line that says how it offers SFTP; none: it does not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = OpenSsh(folder.resolve(), free_port())
    server.root.mkdir()
    new_key(server.folder / "host_key")
    new_key(server.user_key)
    shutil.copy(f"{server.user_key}.pub", server.folder / "authorized_keys")
    config = _CONFIG.format(port=server.port, folder=server.folder, subsystem=subsystem, more=more)
    (server.folder / "sshd_config").write_text(config)
    server.start()
    try:
        yield server
    finally:
        server.stop()
