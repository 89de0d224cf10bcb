"""List a folder of a share in large portions; blocking.

smbprotocol requests 64 KB at a time and builds 12 objects for each entry; 10,000 files take seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Any

from msgspec.structs import replace
from smbclient._io import SMBDirectoryIO
from smbprotocol import MAX_PAYLOAD_SIZE
from smbprotocol.exceptions import NoMoreFiles, NoSuchFile
from smbprotocol.file_info import FileAttributes, FileInformationClass
from smbprotocol.open import Open, QueryDirectoryFlags, SMB2QueryDirectoryResponse
from smbprotocol.reparse_point import ReparseTags

from aetherflow import RemoteEntry
from aetherflow_smb.share_paths import SharePath, join
from aetherflow_smb.windows_time import seconds

PORTION_BYTES = 1024 * 1024
"""How much of a listing is requested at once: about 10,000 entries."""

_ENTRY = struct.Struct("<IIqqqqqqIII4xQ")
"""FileIdFullDirectoryInformation of MS-FSCC: next, index, times, size, room, attributes, length, tag, id."""

Identity = tuple[int, int]
"""Id and time of the last change of a folder: the same folder, wherever a link shows it."""

_LINKS = frozenset({ReparseTags.IO_REPARSE_TAG_SYMLINK, ReparseTags.IO_REPARSE_TAG_MOUNT_POINT})


class Listing:
    """The entries of a folder.

    Attributes:
        identity: that of the folder, once its first entries were read; None if the server does not say it.
    """

    def __init__(self, folder: SharePath, keywords: dict[str, Any], above: Collection[Identity]) -> None:
        """Open the folder; `above` are the folders that it is in."""
        self.identity: Identity | None = None
        self._above = above
        self._prefix = join(folder.written, "")
        self._raw = SMBDirectoryIO(folder.unc, mode="r", share_access="rwd", **keywords)
        self._raw.open()
        self._flags = QueryDirectoryFlags.SMB2_RESTART_SCANS

    def next_entries(self) -> list[RemoteEntry]:
        """Return some entries, without `.` and `..`; no more entries are an empty list.

        Size and time of a link are its own. Samba shows links as what they point to, so a folder that is one
        of those above it is taken for a link: it would lead in a circle.
        """
        found: list[RemoteEntry] = []
        while not found:
            portion = self._portion()
            if portion is None:
                break
            for name, identity, entry in entries_of(portion, self._prefix):
                if name == ".":
                    self.identity = identity
                elif name != "..":
                    is_circle = entry.is_dir and (identity in self._above or identity == self.identity)
                    found.append(replace(entry, is_link=True) if is_circle else entry)
        return found

    def close(self) -> None:
        """Close the folder."""
        self._raw.close()

    def forget(self) -> None:
        """Take the folder as closed, since its connection is broken off; its finalizer would complain."""
        self._raw.fd = Open(self._raw.fd.tree_connect, self._raw.fd.file_name)

    def _portion(self) -> bytes | None:
        folder = self._raw.fd
        connection, tree = folder.connection, folder.tree_connect
        window = connection.sequence_window
        credits_bytes = (window["high"] - window["low"]) * MAX_PAYLOAD_SIZE
        query, _receive = folder.query_directory(
            "*",
            FileInformationClass.FILE_ID_FULL_DIRECTORY_INFORMATION,
            flags=self._flags,
            max_output=min(PORTION_BYTES, connection.max_transact_size, credits_bytes),
            send=False,
        )
        self._flags = 0
        request = connection.send(
            query, sid=tree.session.session_id, tid=tree.tree_connect_id, credit_request=32
        )
        try:
            answer = connection.receive(request)
        except (NoMoreFiles, NoSuchFile):
            return None
        response = SMB2QueryDirectoryResponse()
        response.unpack(answer["data"].get_value())
        return bytes(response["buffer"].get_value())


def entries_of(portion: bytes, prefix: str) -> Iterator[tuple[str, Identity | None, RemoteEntry]]:
    """Yield name, identity and entry of each line of a listing; `prefix` comes before the names."""
    start, step = 0, -1
    while step:
        step, _, _, _, changed, touched, size, _, attributes, length, tag, number = _ENTRY.unpack_from(
            portion, start
        )
        first = start + _ENTRY.size
        name = portion[first : first + length].decode("utf-16-le", "surrogatepass")
        start += step
        is_link = bool(attributes & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT) and tag in _LINKS
        is_dir = bool(attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)
        entry = RemoteEntry(f"{prefix}{name}", 0 if is_dir else size, seconds(changed), is_dir, is_link)
        yield name, (number, touched) if number else None, entry
