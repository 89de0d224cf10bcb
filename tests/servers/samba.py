"""Samba's file server on loopback for tests, with accounts, shares and data of its own below one folder.

Starting it costs a second, so tests share one: `with samba(folder) as server:` in a fixture of the module. It
is a process with children; the block ends them all.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.free_port import free_port

PASSWORD = "s3cret pass-wörd"  # noqa: S105 - of a server that lives for seconds
LARGEST_FILE = 12 * 2**20
"""A larger file is answered with «disk full»: the server has a limit for files, so no disk must be filled."""

ACCOUNTS = {"aether": "root", "reader": "man", "locked": "games", "disabled": "news", "expired": "uucp"}
"""The name that clients give, and the account of the system that it stands for; every Debian has these."""

CONFIG = """\
[global]
  workgroup = WORKGROUP
  server role = standalone server
  bind interfaces only = yes
  interfaces = 127.0.0.1/8
  smb ports = {port}
  disable netbios = yes
  lock directory = {folder}/lock
  state directory = {folder}/state
  cache directory = {folder}/cache
  pid directory = {folder}/pid
  private dir = {folder}/private
  ncalrpc dir = {folder}/ncalrpc
  log file = {folder}/log
  passdb backend = tdbsam:{folder}/private/passdb.tdb
  username map = {folder}/users.map
  map to guest = never
  load printers = no
  printing = bsd
  printcap name = /dev/null
  disable spoolss = yes
  server min protocol = SMB2
  server smb encrypt = {encrypt}
  rpc start on demand helpers = no
  {options}
[data]
  path = {folder}/data
  read only = no
[archive]
  path = {folder}/archive
  read only = no
[readonly]
  path = {folder}/data
  read only = yes
  force user = root
[private]
  path = {folder}/data
  valid users = root
  read only = no
[sealed]
  path = {folder}/data
  read only = no
  smb encrypt = required
[namespace]
  path = {folder}/namespace
  read only = no
  msdfs root = yes
"""


@dataclass(frozen=True)
class Samba:
    """A running server.

    Attributes:
        data: the folder behind the share `data` (and `readonly`, `private`, `sealed`).
        archive: the folder behind the share `archive`.
        namespace: the folder behind the DFS share `namespace`.
    """

    port: int
    folder: Path
    user: str = "aether"
    password: str = PASSWORD
    host: str = "127.0.0.1"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def namespace(self) -> Path:
        return self.folder / "namespace"

    def new_folder(self) -> str:
        """Make a folder on the share `data` for one test, and return its name."""
        return Path(tempfile.mkdtemp(dir=self.data)).name

    def config(self, **changes: object) -> dict[str, object]:
        """Return the config of a resource for it, with these changes."""
        base = {"server": self.host, "port": self.port, "share": "data", "user": self.user}
        return {**base, "password": self.password, **changes}

    def smbclient(self, *commands: str, share: str = "data") -> None:
        """Run commands of Samba's own client."""
        where = [
            "smbclient",
            f"//{self.host}/{share}",
            "-p",
            str(self.port),
            "-U",
            f"{self.user}%{self.password}",
        ]
        conf = self.folder / "client.conf"
        conf.touch()
        done = subprocess.run(
            [*where, "-s", str(conf), "-c", "; ".join(commands)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def missing_for_samba() -> str:
    """Return why Samba cannot be started here; empty if it can."""
    if shutil.which("smbd", path=_path()) is None:
        return "smbd is not installed: apt-get install samba"
    return "" if os.geteuid() == 0 else "Samba's smbd is started by root only"


@contextmanager
def samba(
    folder: Path, *, encrypt: str = "desired", largest_file: int | None = LARGEST_FILE, options: str = ""
) -> Iterator[Samba]:
    """Start a server below a folder; skip the test where it cannot be started.

    Args:
        folder: an empty folder for all its files.
        encrypt: off, desired (clients that can, encrypt) or required.
        largest_file: a write beyond this many bytes fails as on a full disk; None: no limit.
        options: more lines of the section `[global]`.
    """
    if reason := missing_for_samba():
        pytest.skip(reason)
    server = Samba(free_port(), folder)
    _prepare(server, encrypt, options)
    # The kernel would end a process that writes too large a file; ignored, the write fails.
    limit = "" if largest_file is None else f"trap '' XFSZ; ulimit -f {largest_file // 512}; "
    command = f"{limit}exec smbd --foreground --no-process-group -s {folder}/smb.conf --debug-stdout"
    with (folder / "out.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": _path()},
        )
    try:
        _wait_until_it_listens(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _prepare(server: Samba, encrypt: str, options: str) -> None:
    folder = server.folder
    for name in ("lock", "state", "cache", "pid", "private", "ncalrpc", "data", "archive", "namespace"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "private").chmod(0o700)
    (folder / "users.map").write_text("".join(f"{unix} = {name}\n" for name, unix in ACCOUNTS.items()))
    config = CONFIG.format(port=server.port, folder=folder, encrypt=encrypt, options=options)
    (folder / "smb.conf").write_text(config)
    conf = ["-s", str(folder / "smb.conf")]
    for unix in ACCOUNTS.values():
        _run(
            "smbpasswd",
            "-c",
            str(folder / "smb.conf"),
            "-L",
            "-s",
            "-a",
            unix,
            text=f"{PASSWORD}\n{PASSWORD}\n",
        )
    _run("pdbedit", *conf, "-u", ACCOUNTS["locked"], "-c", "[L]")
    _run("pdbedit", *conf, "-u", ACCOUNTS["disabled"], "-c", "[D]")
    _run("pdbedit", *conf, "-u", ACCOUNTS["expired"], "-K", "1")


def _run(*command: str, text: str = "") -> None:
    env = {**os.environ, "PATH": _path()}
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def _wait_until_it_listens(server: Samba, process: subprocess.Popen[bytes]) -> None:
    for _ in range(2400):  # at least a minute: many tests may start servers at once
        with suppress(OSError), socket.create_connection((server.host, server.port), 1):
            return
        assert process.poll() is None, (server.folder / "out.log").read_text()
        time.sleep(0.025)
    pytest.fail(f"smbd does not listen: {(server.folder / 'out.log').read_text()}")


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
