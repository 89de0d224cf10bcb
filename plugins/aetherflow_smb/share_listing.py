"""List a folder of a share in large portions; blocking.

smbprotocol requests 64 KB at a time and builds 12 objects for each entry; 10,000 files take seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

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

_ENTRY = struct.Struct("<IIqqqqqqIII")
"""FileFullDirectoryInformation of MS-FSCC: next, index, 4 times, size, allocated, attributes, length, tag."""
_LINKS = frozenset({ReparseTags.IO_REPARSE_TAG_SYMLINK, ReparseTags.IO_REPARSE_TAG_MOUNT_POINT})


class Listing:
    """The entries of a folder."""

    def __init__(self, folder: SharePath, keywords: dict[str, Any]) -> None:
        """Open the folder."""
        self._written = folder.written
        self._raw = SMBDirectoryIO(folder.unc, mode="r", share_access="rwd", **keywords)
        self._raw.open()
        self._flags = QueryDirectoryFlags.SMB2_RESTART_SCANS

    def next_entries(self) -> list[RemoteEntry]:
        """Return some entries, without `.` and `..`; no more entries are an empty list.

        Size and time of a link are its own.
        """
        found: list[RemoteEntry] = []
        while not found:
            portion = self._portion()
            if portion is None:
                break
            found = list(entries_of(portion, self._written))
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
            FileInformationClass.FILE_FULL_DIRECTORY_INFORMATION,
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


def entries_of(portion: bytes, folder: str) -> Iterator[RemoteEntry]:
    """Yield the entries of a portion of a listing of a folder."""
    prefix = join(folder, "")
    start = step = 0
    while start == 0 or step:
        step, _, _, _, changed, _, size, _, attributes, length, tag = _ENTRY.unpack_from(portion, start)
        first = start + _ENTRY.size
        name = portion[first : first + length].decode("utf-16-le", "surrogatepass")
        start += step
        if name not in {".", ".."}:
            is_link = bool(attributes & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT) and tag in _LINKS
            is_dir = bool(attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)
            yield RemoteEntry(f"{prefix}{name}", 0 if is_dir else size, seconds(changed), is_dir, is_link)
        if not step:
            return
