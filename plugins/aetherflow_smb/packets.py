"""The packets of SMB 2 that a transfer needs, as MS-SMB2 2.2 lays them out; pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
"""Id, size, charge, status, command, credits, flags, next, message, process, tree, session, signature."""
TRANSFORM = struct.Struct("<4s16s16sIHHQ")
"""Id, signature, nonce, size, reserved, flags, session."""

_CREATE = struct.Struct("<HBBIQQIIIIIHHII")
_CLOSE = struct.Struct("<HHI16s")
_READ = struct.Struct("<HBBIQ16sIIIHHB")
_WRITE = struct.Struct("<HHIQ16sIIHHI")
_SET_INFO = struct.Struct("<HBBIHHI16s")
_CREATED = struct.Struct("<HBBIqqqqqqI")
_CLOSED = struct.Struct("<HHIqqqqqqI")

SMALL_BYTES = 64 * 1024
"""Files up to this size are opened, read or written, and closed in one request."""

READ_START = HEADER.size + 16
"""Where the content in an answer to `read` is requested to start."""

CREATE, CLOSE, READ, WRITE, SET_INFO = 5, 6, 8, 9, 17
OPENED_BEFORE = b"\xff" * 16
"""The file of a packet that is sent together with the one that opens it."""

SHARE_ALL = 7
OPEN, OVERWRITE_IF = 1, 5
NO_FOLDER, THE_LINK_ITSELF = 0x40, 0x200000
READ_DATA, WRITE_DATA, READ_ATTRIBUTES, WRITE_ATTRIBUTES, DELETE = 0x1, 0x2, 0x80, 0x100, 0x10000
_NORMAL, _FOLDER = 0x80, 0x10
_BASIC_INFO, _RENAME_INFO = 4, 10
_PADDING = bytes(8)
_BYTES_PER_CREDIT = 64 * 1024


class Packet(NamedTuple):
    """A request without its header.

    Attributes:
        size: how many bytes are sent or requested, for the credits.
    """

    command: int
    body: bytes
    content: bytes | memoryview = b""
    size: int = 1

    @property
    def credits(self) -> int:
        """How many credits it takes: one for each 64 KB that are sent or requested."""
        return (self.size - 1) // _BYTES_PER_CREDIT + 1 if self.size > _BYTES_PER_CREDIT else 1


class Described(NamedTuple):
    """What the answer to opening or closing a file says: when it was changed (Windows ticks), its size."""

    changed: int
    size: int
    is_dir: bool


def create(name: str, access: int, *, disposition: int = OPEN, options: int = 0) -> Packet:
    """Return the packet that opens a file or folder of a share, by its path with backslashes."""
    encoded = name.encode("utf-16-le")
    body = _CREATE.pack(
        *(57, 0, 0, 2, 0, 0, access, _NORMAL if disposition == OVERWRITE_IF else 0, SHARE_ALL),
        *(disposition, options, HEADER.size + _CREATE.size, len(encoded), 0, 0),
    )
    return Packet(CREATE, body + (encoded or _PADDING))


def close(file: bytes = OPENED_BEFORE, *, describes: bool = False) -> Packet:
    """Return the packet that closes a file; the answer describes it if that is requested."""
    return Packet(CLOSE, _CLOSE.pack(24, describes, 0, file))


def read(offset: int, size: int, file: bytes = OPENED_BEFORE) -> Packet:
    """Return the packet that requests so many bytes of a file."""
    return Packet(READ, _READ.pack(49, READ_START, 0, size, offset, file, 0, 0, 0, 0, 0, 0), size=size)


def write(offset: int, content: bytes | memoryview, file: bytes = OPENED_BEFORE) -> Packet:
    """Return the packet that writes bytes to a file."""
    start = HEADER.size + _WRITE.size
    body = _WRITE.pack(49, start, len(content), offset, file, 0, 0, 0, 0, 0)
    return Packet(WRITE, body, content, len(content))


def rename(new: str, *, replaces: bool) -> Packet:
    """Return the packet that gives the file that was opened before another path on its share."""
    encoded = new.encode("utf-16-le")
    return _set_info(_RENAME_INFO, struct.pack("<B7xQI", replaces, 0, len(encoded)) + encoded)


def set_changed(changed: int) -> Packet:
    """Return the packet that sets when the file that was opened before was changed, as Windows counts."""
    return _set_info(_BASIC_INFO, struct.pack("<qqqqII", 0, 0, changed, 0, 0, 0))


def created(message: bytes) -> Described:
    """Return what the answer to `create` says."""
    found = _CREATED.unpack_from(message, HEADER.size)
    changed, size, attributes = found[6], found[9], found[10]
    return Described(changed, size, bool(attributes & _FOLDER))


def closed(message: bytes) -> Described | None:
    """Return what the answer to `close` says; None if it does not describe the file."""
    found = _CLOSED.unpack_from(message, HEADER.size)
    return Described(found[5], found[8], bool(found[9] & _FOLDER)) if found[1] & 1 else None


def message_id(message: bytes | memoryview) -> int:
    """Return the number that a message shares with its answer."""
    number: int = HEADER.unpack_from(message)[8]
    return number


def is_read(head: bytes, size: int) -> bool:
    """Whether the part of an answer before READ_START says that only `size` bytes of a file follow."""
    header = HEADER.unpack_from(head)
    start, count = head[HEADER.size + 2], struct.unpack_from("<I", head, HEADER.size + 4)[0]
    return header[3:5] == (0, READ) and not header[7] and (start, count) == (READ_START, size)


def content_of(message: bytes) -> memoryview:
    """Return the content in the answer to `read`."""
    start, size = message[HEADER.size + 2], struct.unpack_from("<I", message, HEADER.size + 4)[0]
    return memoryview(message)[start : start + size]


def count_of(message: bytes) -> int:
    """Return how many bytes `write` has written."""
    count: int = struct.unpack_from("<I", message, HEADER.size + 4)[0]
    return count


def _set_info(kind: int, content: bytes) -> Packet:
    start = HEADER.size + _SET_INFO.size
    return Packet(SET_INFO, _SET_INFO.pack(33, 1, kind, len(content), start, 0, 0, OPENED_BEFORE) + content)
