"""The file servers that transfers are tortured with: asyncssh's SFTP server, OpenSSH's sshd, Samba's smbd."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.servers.openssh import openssh
from tests.servers.samba import Samba, samba
from tests.servers.sftp_server import sftp_server

ServerName = Literal["asyncssh", "openssh", "samba"]


@dataclass(frozen=True)
class FarServer:
    """A running server.

    Attributes:
        kind: of its resource; the steps begin with it.
        driver: of its resource.
        config: of its resource.
        root: its folder as clients name it, without a slash at the end.
        folder: the same folder on this machine's disk.
    """

    kind: Literal["sftp", "smb"]
    driver: str
    config: dict[str, Any]
    root: str
    folder: Path

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.config["port"])

    def resource(self, port: int | None = None, **options: Any) -> dict[str, Any]:
        """Return the resource of a flow that reaches it, perhaps at the port of a proxy."""
        config = {**self.config, "port": port or self.port}
        return {"kind": self.kind, "driver": self.driver, "config": config, "options": options}


@asynccontextmanager
async def far_server(
    name: ServerName, place: Path, running: Callable[[], Samba] | None = None
) -> AsyncIterator[FarServer]:
    """Run a server in a block; its files are below `place`.

    With `running`, that Samba is used (it takes a second to start one), in a folder of its own.
    """
    match name:
        case "asyncssh":
            async with sftp_server(place) as sftp:
                yield FarServer("sftp", "asyncssh", sftp.config(), "", sftp.root)
        case "openssh":
            with openssh(place) as sshd:
                yield FarServer("sftp", "asyncssh", sshd.config(), str(sshd.root), sshd.root)
        case "samba" if running is not None:
            shared = running()
            top = shared.new_folder()
            yield FarServer("smb", "smbclient", shared.config(), top, shared.data / top)
        case "samba":
            await asyncio.to_thread(place.mkdir, parents=True)
            with samba(place, largest_file=None) as own:
                yield FarServer("smb", "smbclient", own.config(), "", own.data)


def content_of(folder: Path) -> dict[str, str]:
    """Return the checksum of each file below a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def wrong_files(folder: Path, right: Mapping[str, str], known: set[tuple[str, int]]) -> Iterator[str]:
    """Return the names below a folder under which something else is than the whole file.

    Args:
        folder: where files arrive.
        right: their checksums by relative path.
        known: names and inodes of files that were looked at; they are not read again.
    """
    for path in folder.rglob("*"):
        if is_temporary(path):
            continue
        with suppress(FileNotFoundError):  # replaced meanwhile
            name, inode = str(path.relative_to(folder)), path.stat().st_ino
            if path.is_file() and (name, inode) not in known:
                known.add((name, inode))
                if hashlib.sha256(path.read_bytes()).hexdigest() != right.get(name):
                    yield name


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one that is incomplete."""
    return path.name.startswith(".") and path.suffix == ".part"
