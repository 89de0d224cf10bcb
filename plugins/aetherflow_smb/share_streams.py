"""Read and write a file on a share in large blocks, several of them on their way at once; blocking.

The first blocks are small and grow while the server answers quickly: a slow line answers in time, and a fast
one is used well.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from smbclient._io import SMBFileIO, SMBFileTransaction, set_info
from smbprotocol import MAX_PAYLOAD_SIZE
from smbprotocol.exceptions import SMBOSError
from smbprotocol.file_info import FileEndOfFileInformation
from smbprotocol.header import NtStatus
from smbprotocol.open import FilePipePrinterAccessMask, Open

from aetherflow_smb import packets
from aetherflow_smb.quick_connection import Answer
from aetherflow_smb.share_paths import SharePath

FIRST_BYTES = 256 * 1024
SMALLEST_BYTES = 64 * 1024
LARGEST_BYTES = 4 * 1024 * 1024
"""Each block costs a fixed time in Python: smaller ones take a tenth longer, larger ones gain nothing."""

ON_THE_WAY_BYTES = 8 * 1024 * 1024
"""So much is sent or requested before the answer to the first block is awaited.

An upload that is continued sends as much again: `aetherflow.transfer.sending.BACK_BYTES`.
"""

QUICK_SECONDS = 0.5
SLOW_SECONDS = 2.0


class _Sent(NamedTuple):
    answer: Answer
    has_come: threading.Event
    offset: int
    size: int
    at: float


class _Stream:
    """An open file, and the requests that wait for their answers."""

    def __init__(self, path: SharePath, mode: str, access: int, keywords: dict[str, Any]) -> None:
        self._raw = SMBFileIO(path.unc, mode=mode, share_access="rwd", desired_access=access, **keywords)
        self._raw.open()
        self._file = self._raw.fd
        self._connection = self._file.connection
        self._waiting: deque[_Sent] = deque()
        self._size = FIRST_BYTES

    def close(self) -> None:
        """Close the file, after the answers to what is on its way."""
        self._drain()
        self._raw.close()

    def forget(self) -> None:
        """Take the file as closed, since its connection is broken off; its finalizer would complain."""
        self._raw.fd = Open(self._file.tree_connect, self._file.file_name)

    def _drain(self) -> None:
        """Await what is on its way, and ignore it."""
        while self._waiting:
            with suppress(SMBOSError):
                self._receive()

    def _can_send(self, size: int) -> int:
        """Return how much of so many bytes can be sent now: 0 if an answer must be awaited first."""
        left: int = self._connection.credits_left * MAX_PAYLOAD_SIZE
        wanted = min(size, self._size)
        if not self._waiting:
            return int(min(wanted, max(left, MAX_PAYLOAD_SIZE)))
        on_the_way = sum(sent.size for sent in self._waiting)
        is_fast = self._size >= LARGEST_BYTES
        return wanted if is_fast and left >= wanted and on_the_way + wanted <= ON_THE_WAY_BYTES else 0

    def _send(self, packet: packets.Packet, offset: int, size: int) -> None:
        has_come = threading.Event()
        answer = self._connection.send_packet(self._file.tree_connect, packet, has_come.set)
        self._waiting.append(_Sent(answer, has_come, offset, size, time.monotonic()))

    def _receive(self) -> tuple[_Sent, bytes]:
        """Await the first answer."""
        sent = self._waiting.popleft()
        sent.has_come.wait()
        message = self._connection.message_of(sent.answer, self._raw.name)
        took = time.monotonic() - sent.at
        if took < QUICK_SECONDS:
            self._size = min(self._size * 2, LARGEST_BYTES)
        elif took > SLOW_SECONDS:
            self._size = max(self._size // 2, SMALLEST_BYTES)
        return sent, message


class ShareReader(_Stream):
    """Reads a file from an offset to its end."""

    def __init__(self, path: SharePath, offset: int, keywords: dict[str, Any]) -> None:
        """Open the file."""
        access = FilePipePrinterAccessMask.FILE_READ_DATA | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
        super().__init__(path, "r", access, keywords)
        self._next = offset
        self._end = int(self._file.end_of_file)
        self._largest = int(self._connection.max_read_size)

    def next_blocks(self) -> list[bytes]:
        """Return the next blocks: those that have arrived, at least one; none at the end of the file."""
        found, size = [], 0
        while block := self._next_block():
            found.append(block)
            size += len(block)
            if size >= LARGEST_BYTES or not (self._waiting and self._waiting[0].has_come.is_set()):
                break
        return found

    def _next_block(self) -> bytes:
        while self._next < self._end and (size := self._can_send(min(self._end - self._next, self._largest))):
            self._send(packets.read(self._next, size, self._file.file_id), self._next, size)
            self._next += size
        if not self._waiting:
            return b""
        try:
            sent, message = self._receive()
        except SMBOSError as error:
            if error.ntstatus != NtStatus.STATUS_END_OF_FILE:
                raise
            self._next = self._end  # it was shortened meanwhile
            return b""
        block = sent.answer.content or bytes(packets.content_of(message))
        if len(block) < sent.size:  # what is missing comes before what is on its way
            self._drain()
            self._next = sent.offset + len(block)
        return block


class ShareWriter(_Stream):
    """Writes a file from an offset; what was behind the end of what is written is cut off."""

    def __init__(self, path: SharePath, offset: int, keywords: dict[str, Any]) -> None:
        """Open the file; at offset 0 it is created, or emptied."""
        access = FilePipePrinterAccessMask.FILE_WRITE_DATA | FilePipePrinterAccessMask.FILE_WRITE_ATTRIBUTES
        super().__init__(path, "r" if offset else "w", access, keywords)
        self._offset = offset
        self._largest = int(self._connection.max_write_size)

    def write_some(self, content: memoryview) -> int:
        """Send as many of these bytes as the server takes at once or quickly; return how many."""
        began, sent = time.monotonic(), 0
        while sent < len(content):
            while not (size := self._can_send(min(len(content) - sent, self._largest))):
                self._confirm()
            block = content[sent : sent + size]
            self._send(packets.write(self._offset, block, self._file.file_id), self._offset, size)
            self._offset += size
            sent += size
            if time.monotonic() - began > QUICK_SECONDS:
                break
        return sent

    def wait(self) -> bool:
        """Wait for an answer, and take those that have come; return whether another one is missing."""
        if self._waiting:
            self._confirm()
        while self._waiting and self._waiting[0].has_come.is_set():
            self._confirm()
        return bool(self._waiting)

    def finish(self) -> None:
        """Cut off what an older file has behind the end, and close the file."""
        if self._file.end_of_file > self._offset:
            with SMBFileTransaction(self._raw) as transaction:
                order = FileEndOfFileInformation()
                order["end_of_file"] = self._offset
                set_info(transaction, order)
        self.close()

    def _confirm(self) -> None:
        sent, message = self._receive()
        written = packets.count_of(message)
        if written < sent.size:
            raise OSError(f"the server wrote {written} of {sent.size} bytes")
