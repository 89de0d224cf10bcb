"""A connection of smbprotocol whose reads and writes skip its message objects; blocking.

smbprotocol copies a block about ten times between the file and the socket, which costs four times as much as
the encryption and the network. Here READ and WRITE are packed and unpacked directly (MS-SMB2, 2.2.19 to
2.2.22); everything else, the login above all, is smbprotocol's.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.ciphers import aead
from smbprotocol import MAX_PAYLOAD_SIZE
from smbprotocol.connection import Ciphers, Connection, Dialects
from smbprotocol.exceptions import SMBConnectionClosed, SMBException, SMBOSError
from smbprotocol.header import Commands, NtStatus
from smbprotocol.transport import Tcp

_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
"""Id, size, charge, status, command, credits, flags, next, message, process, tree, session, signature."""
_TRANSFORM = struct.Struct("<4s16s16sIHHQ")
"""Id, signature, nonce, size, reserved, flags, session."""
_READ = struct.Struct("<HBBIQ16sIIIHHB")
_WRITE = struct.Struct("<HHIQ16sIIHHI")
_PART = 52
"""The size of a transform header; more than the part of a plain header that says what it is."""

_SIGNED, _ASYNC = 0x8, 0x2
_NO_SIGNATURE = bytes(16)


class Answer:
    """The answer to a request that was sent.

    Attributes:
        status: its NTSTATUS.
        message: the whole answer with its header; None until it is there, or if the connection ended.
    """

    def __init__(self) -> None:
        self.status = 0
        self.message: bytes | None = None
        self.has_come = threading.Event()


class QuickConnection(Connection):  # type: ignore[misc]  # smbprotocol has no types
    """A connection with `send_read` and `send_write` beside what smbprotocol has."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._transport: Any = None
        self._answers: dict[int, Answer] = {}
        self._answers_lock = threading.Lock()
        self._has_ended = False
        self._ciphers: dict[bytes, Any] = {}
        self._outgoing = bytearray()
        super().__init__(*arguments, **keywords)

    @property
    def transport(self) -> Any:
        """The socket; smbprotocol sets it, and gets one that looks for our answers first."""
        return self._transport

    @transport.setter
    def transport(self, made: Any) -> None:
        self._transport = None if made is None else _Transport(self, made.server, made.port, made.timeout)

    def send_read(self, file: Any, offset: int, size: int) -> Answer:
        """Request so many bytes of an open file; `wait_for` and `content_of` have the answer."""
        body = _READ.pack(49, 0x50, 0, size, offset, file.file_id, 0, 0, 0, 0, 0, 0)
        return self._request(file.tree_connect, Commands.SMB2_READ, body, b"", size)

    def send_write(self, file: Any, offset: int, content: memoryview) -> Answer:
        """Send a block for an open file; `wait_for` and `count_of` have the answer."""
        body = _WRITE.pack(49, _HEADER.size + _WRITE.size, len(content), offset, file.file_id, 0, 0, 0, 0, 0)
        return self._request(file.tree_connect, Commands.SMB2_WRITE, body, content, len(content))

    def wait_for(self, answer: Answer, path: str) -> bytes:
        """Wait until an answer is there and return it.

        Raises:
            SMBOSError: the server answers with an error.
            SMBConnectionClosed: the connection ended before it came.
        """
        answer.has_come.wait()
        if answer.message is None:
            if self._t_exc is not None:  # what the reading thread met
                raise self._t_exc
            raise SMBConnectionClosed("the connection ended before the answer")
        if answer.status != NtStatus.STATUS_SUCCESS:
            raise SMBOSError(answer.status, path)
        return answer.message

    def take(self, message: bytes | memoryview, *, was_encrypted: bool) -> bytes | None:
        """Take an answer to our requests, else return it for smbprotocol; called on its reading thread.

        Raises:
            SMBException: its signature is wrong or missing.
        """
        start = 0
        while True:
            parts = _HEADER.unpack_from(message, start)
            status, command, credit, flags, following, message_id = *parts[3:5], *parts[5:9]
            with self._answers_lock:
                answer = self._answers.get(message_id)
            if answer is None:
                return _unsigned(message[start:]) if was_encrypted else bytes(message[start:])
            part = bytes(message[start : start + following] if following else message[start:])
            if not was_encrypted:
                self._check_signature(part, command, flags, message_id, parts[12])
            with self.sequence_lock:
                self.sequence_window["high"] += credit
            if not (status == NtStatus.STATUS_PENDING and flags & _ASYNC):
                with self._answers_lock:
                    del self._answers[message_id]
                answer.status, answer.message = status, part
                answer.has_come.set()
            if not following:
                return None
            start += following

    def end(self) -> None:
        """Let those who wait for an answer know that none will come."""
        with self._answers_lock:
            self._has_ended = True
            waiting, self._answers = list(self._answers.values()), {}
        for answer in waiting:
            answer.has_come.set()

    def decrypted(self, transform: bytes, sealed: memoryview) -> bytes:
        """Return the message behind a transform header; `sealed` ends with its signature.

        Raises:
            SMBException: it is of an unknown session.
        """
        session = self.session_table.get(_TRANSFORM.unpack(transform)[6])
        if session is None:
            raise SMBException("an encrypted message of an unknown session")
        cipher, length = self._cipher(session.decryption_key)
        plain: bytes = cipher.decrypt(transform[20 : 20 + length], sealed, transform[20:])
        return plain

    def _request(
        self, tree: Any, command: int, body: bytes, content: bytes | memoryview, size: int
    ) -> Answer:
        session = tree.session
        charge = max(0, size - 1) // MAX_PAYLOAD_SIZE + 1 if self.supports_multi_credit else 0
        answer = Answer()
        with self.sequence_lock:
            message_id = self.sequence_window["low"]
            self.sequence_window["low"] += charge or 1
        with self._answers_lock:
            if self._has_ended:
                raise SMBConnectionClosed("the connection has ended")
            self._answers[message_id] = answer
        is_encrypted = bool(session.encrypt_data or tree.encrypt_data)
        is_signed = not is_encrypted and session.signing_required and session.signing_key
        flags, where = _SIGNED if is_signed else 0, (tree.tree_connect_id, session.session_id)
        head = _HEADER.pack(
            b"\xfeSMB",
            64,
            charge,
            0,
            command,
            2 * charge + 64,
            flags,
            0,
            message_id,
            0,
            *where,
            _NO_SIGNATURE,
        )
        first = head + body
        if is_encrypted:
            self._transport.send_parts(*self._encrypted(session, self._joined(first, content)))
        elif is_signed:
            whole = bytes(self._joined(first, content))
            signature = self._generate_signature(whole, session.signing_key, message_id, False, command)
            self._transport.send_parts(first[:48] + signature + first[64:], memoryview(content))
        else:
            self._transport.send_parts(first, memoryview(content))
        return answer

    def _joined(self, first: bytes, content: bytes | memoryview) -> memoryview:
        """Return both as one, in a buffer that is used again: fresh memory costs more than the copy."""
        size, middle = len(first) + len(content), len(first)
        if len(self._outgoing) < size:
            self._outgoing = bytearray(size)
        self._outgoing[:middle] = first
        self._outgoing[middle:size] = content
        return memoryview(self._outgoing)[:size]

    def _encrypted(self, session: Any, plain: memoryview) -> tuple[bytes, memoryview]:
        cipher, length = self._cipher(session.encryption_key)
        nonce = os.urandom(length)
        padded = nonce.ljust(16, b"\0")
        seen = _TRANSFORM.pack(b"\xfdSMB", _NO_SIGNATURE, padded, len(plain), 0, 1, session.session_id)
        sealed = cipher.encrypt(nonce, plain, seen[20:])
        return seen[:4] + sealed[-16:] + seen[20:], memoryview(sealed)[:-16]

    def _cipher(self, key: bytes) -> tuple[Any, int]:
        """Return the cipher of a key and the length of its nonces."""
        found = self._ciphers.get(key)
        if found is None:
            chosen = self.cipher_id if self.dialect >= Dialects.SMB_3_1_1 else Ciphers.AES_128_CCM
            is_gcm = chosen in {Ciphers.AES_128_GCM, Ciphers.AES_256_GCM}
            found = self._ciphers[key] = (aead.AESGCM(key), 12) if is_gcm else (aead.AESCCM(key), 11)
        return found

    def _check_signature(
        self, part: bytes, command: int, flags: int, message_id: int, signature: bytes
    ) -> None:
        session = next(iter(self.session_table.values()), None)
        if session is None or not session.signing_required or not session.signing_key:
            return
        if flags & _SIGNED:
            if signature == self._generate_signature(part, session.signing_key, message_id, True, command):
                return
        elif flags & _ASYNC:  # an interim answer, which servers do not sign
            return
        raise SMBException("the signature of an answer is missing or wrong")


class _Transport(Tcp):  # type: ignore[misc]  # smbprotocol has no types
    """The socket of a connection: whole messages, with as few copies as Python allows."""

    def __init__(self, connection: QuickConnection, server: str, port: int, timeout: float | None) -> None:
        super().__init__(server, port, timeout)
        self._connection = connection
        self._incoming = bytearray(MAX_PAYLOAD_SIZE)

    def send_parts(self, first: bytes, content: memoryview) -> None:
        """Send a message that is in two parts."""
        size = struct.pack(">I", len(first) + len(content))
        with self._sock_lock:
            if not self.connected:
                raise SMBConnectionClosed("the connection has ended")
            self._sock.sendall(size + first, socket.MSG_MORE if content else 0)
            if content:
                self._sock.sendall(content)

    def recv(self, timeout: float) -> bytes:
        """Return the next message that is smbprotocol's; nothing at the end of the connection.

        Raises:
            TimeoutError: nothing came in time.
        """
        rest: bytes | None = None
        try:
            while rest is None:
                size = self._exactly(memoryview(bytearray(4)), timeout)
                rest = b"" if size is None else self._message(int.from_bytes(size, "big"))
        except BaseException as error:
            if not isinstance(error, TimeoutError):
                self._connection.end()
            raise
        if not rest:
            self._connection.end()
        return rest

    def _message(self, size: int) -> bytes | None:
        """Read a message, and return it if it is smbprotocol's; nothing at the end of the connection."""
        if len(self._incoming) < size:
            self._incoming = bytearray(size)
        room = memoryview(self._incoming)
        first = self._exactly(room[: min(size, _PART)])
        if first is None:
            return b""
        if bytes(first[:4]) != b"\xfdSMB":
            if size > _PART and self._exactly(room[_PART:size]) is None:
                return b""
            return self._connection.take(room[:size], was_encrypted=False)
        transform = bytes(first)
        body = size - _PART
        if self._exactly(room[:body]) is None:
            return b""
        # Room for the signature: the buffer has the size of the message with its transform header.
        room[body : body + 16] = transform[4:20]
        plain = self._connection.decrypted(transform, room[: body + 16])
        return self._connection.take(plain, was_encrypted=True)

    def _exactly(self, room: memoryview, timeout: float | None = None) -> memoryview | None:
        """Fill a buffer; None if the connection ends before."""
        filled = 0
        with self._close_lock:
            if not self.connected:
                return None
            if timeout is not None and not select.select([self._sock], [], [], max(timeout, 1))[0]:
                raise TimeoutError(f"nothing came for {timeout:g} s")
            with suppress(ConnectionError):
                filled = self._sock.recv_into(room, len(room), socket.MSG_WAITALL)
        if filled < len(room):
            self.close()
            return None
        return room


def _unsigned(message: bytes | memoryview) -> bytes:
    """Return a message that was encrypted for smbprotocol, which would look for signatures in it."""
    changed, start, following = bytearray(message), 0, -1
    while following:
        following, flags = struct.unpack_from("<I", changed, start + 20)[0], start + 16
        changed[flags] &= ~_SIGNED & 0xFF
        start += following
    return bytes(changed)


def content_of(message: bytes) -> memoryview:
    """Return the content in the answer to a read."""
    start, size = message[_HEADER.size + 2], struct.unpack_from("<I", message, _HEADER.size + 4)[0]
    return memoryview(message)[start : start + size]


def count_of(message: bytes) -> int:
    """Return how many bytes a write has written."""
    count: int = struct.unpack_from("<I", message, _HEADER.size + 4)[0]
    return count
