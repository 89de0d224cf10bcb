"""What is done with the files and folders of a share: look, list, rename, delete; blocking.

It goes through smbprotocol, which follows links and DFS namespaces; `share_requests.py` is quicker.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import smbclient
from msgspec.structs import replace
from smbclient._io import SMBFileTransaction, SMBRawIO, query_info, set_info
from smbprotocol.exceptions import SMBOSError
from smbprotocol.file_info import (
    FileAttributes,
    FileBasicInformation,
    FileFsFullSizeInformation,
)
from smbprotocol.open import FilePipePrinterAccessMask

from aetherflow import RemoteEntry
from aetherflow_smb.answers import EXISTS, IS_FILE, MISSING, NO_RIGHTS
from aetherflow_smb.share_connection import ShareConnection
from aetherflow_smb.share_listing import Identity, Listing
from aetherflow_smb.share_paths import SharePath
from aetherflow_smb.share_streams import ShareReader, ShareWriter
from aetherflow_smb.windows_time import ticks

LOOK = FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
READ_FOLDER = FilePipePrinterAccessMask.FILE_READ_DATA
WRITE_FOLDER = FilePipePrinterAccessMask.FILE_WRITE_DATA


class Share(ShareConnection):
    """A connection with the calls that a file system needs; errors are smbprotocol's, or StepErrors."""

    def look(self, path: SharePath) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there."""
        raw = self._raw(path, LOOK)
        try:
            SMBFileTransaction(raw).commit()
        except SMBOSError as error:
            if error.ntstatus in MISSING:
                return None
            raise
        found = raw.fd
        is_dir = bool(found.file_attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)
        size = 0 if is_dir else int(found.end_of_file)
        return RemoteEntry(path.written, size, found.last_write_time.timestamp(), is_dir)

    def listing(self, path: SharePath, above: Collection[Identity]) -> Listing:
        """Open a folder to list it; `above` are the folders that it is in, as far as they are known."""
        self.use_share(path)
        return Listing(path, self.keywords, above)

    def reader(self, path: SharePath, offset: int) -> ShareReader:
        """Open a file to read it from an offset."""
        self.use_share(path)
        return ShareReader(path, offset, self.keywords)

    def writer(self, path: SharePath, offset: int) -> ShareWriter:
        """Open a file to write it, from its beginning or from an offset."""
        self.use_share(path)
        return ShareWriter(path, offset, self.keywords)

    def rename(self, path: SharePath, new: SharePath, *, replaces: bool) -> bool:
        """Rename a file in one operation; return False if something is at `new` and `replaces` is false."""
        self.use_share(path)
        try:
            (smbclient.replace if replaces else smbclient.rename)(path.unc, new.unc, **self.keywords)
        except SMBOSError as error:
            if error.ntstatus == EXISTS and not replaces:
                return False
            raise
        return True

    def remove(self, path: SharePath) -> bool:
        """Delete a file, or a link and not what it points to; return whether it was there."""
        return self._delete(path, smbclient.remove)

    def remove_folder(self, path: SharePath) -> bool:
        """Delete an empty folder; return whether it was there."""
        return self._delete(path, smbclient.rmdir)

    def make_folder(self, path: SharePath) -> None:
        """Make a folder and those above it; nothing happens if it exists."""
        missing: list[SharePath] = []
        place, entry = path, self.look(path)
        while entry is None and place.parts:
            missing.append(place)
            place = replace(place, parts=place.parts[:-1])
            entry = self.look(place)
        if entry is not None and not entry.is_dir:
            raise SMBOSError(IS_FILE, place.unc)
        for folder in reversed(missing):
            try:
                smbclient.mkdir(folder.unc, **self.keywords)
            except SMBOSError as error:
                if error.ntstatus != EXISTS:  # another transfer may have made it
                    raise

    def set_mtime(self, path: SharePath, mtime: float) -> None:
        """Set when a file was changed, in seconds since 1970 UTC."""
        with SMBFileTransaction(
            self._raw(path, FilePipePrinterAccessMask.FILE_WRITE_ATTRIBUTES)
        ) as transaction:
            order = FileBasicInformation()
            for name in ("creation_time", "last_access_time", "change_time", "file_attributes"):
                order[name] = 0  # as it is
            order["last_write_time"] = ticks(mtime)
            set_info(transaction, order)

    def free_bytes(self, path: SharePath) -> int:
        """Return how much the user may still write."""
        with SMBFileTransaction(self._raw(path, LOOK)) as transaction:
            query_info(transaction, FileFsFullSizeInformation)
        found = transaction.results[0]
        unit = found["sectors_per_unit"].get_value() * found["bytes_per_sector"].get_value()
        return int(found["caller_available_units"].get_value() * unit)

    def may(self, path: SharePath, access: int) -> bool:
        """Whether the server opens a folder with these rights; nothing is changed."""
        try:
            SMBFileTransaction(self._raw(path, access)).commit()
        except SMBOSError as error:
            if error.ntstatus in NO_RIGHTS:
                return False
            raise
        return True

    def _delete(self, path: SharePath, function: Any) -> bool:
        self.use_share(path)
        try:
            function(path.unc, **self.keywords)
        except SMBOSError as error:
            if error.ntstatus in MISSING:
                return False
            raise
        return True

    def _raw(self, path: SharePath, access: int, options: int = 0) -> Any:
        """Return something unopened; a transaction with it opens and closes it in one request."""
        self.use_share(path)
        return SMBRawIO(
            path.unc,
            mode="r",
            share_access="rwd",
            desired_access=access,
            create_options=options,
            **self.keywords,
        )
