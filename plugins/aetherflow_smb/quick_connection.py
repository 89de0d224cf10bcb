"""A connection of smbprotocol whose transfers skip its message objects; blocking.

smbprotocol copies a block about ten times between the file and the socket, which costs four times as much as
the encryption and the network. Here the packets of `packets.py` are sent and received directly; all else,
the login above all, is smbprotocol's.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, aead, algorithms, modes
from smbprotocol import MAX_PAYLOAD_SIZE
from smbprotocol.connection import Ciphers, Connection, Dialects
from smbprotocol.exceptions import SMBConnectionClosed, SMBException, SMBOSError
from smbprotocol.header import NtStatus
from smbprotocol.transport import Tcp

from aetherflow_smb.packets import HEADER, READ_START, TRANSFORM, Packet, is_read, message_id

_PART = 52
"""The size of a transform header; more than the part of a plain header that says what it is."""

_LARGE = 64 * 1024
"""Larger messages are encrypted part by part: that takes some microseconds, and saves the copies."""

_SIGNED, _ASYNC, _RELATED = 0x8, 0x2, 0x4
_NO_SIGNATURE = bytes(16)


class Answer:
    """The answer to a request that was sent.

    Attributes:
        status: its NTSTATUS.
        message: the whole answer with its header; None until it is there, or if the connection ended.
        content: what was read, if it was decrypted on its own; `message` ends before it.
        come: called on the reading thread when the answer is there, or will not come.
    """

    __slots__ = ("come", "content", "message", "status")

    def __init__(self, come: Callable[[], None]) -> None:
        self.status = 0
        self.message: bytes | None = None
        self.content: bytes | None = None
        self.come = come


class QuickConnection(Connection):  # type: ignore[misc]  # smbprotocol has no types
    """A connection that sends and receives packets beside what smbprotocol has."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._transport: Any = None
        self._answers: dict[int, Answer] = {}
        self._answers_lock = threading.Lock()
        self._has_ended = False
        self._ended_by: BaseException | None = None
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

    @property
    def credits_left(self) -> int:
        """How many requests of up to 64 KB the server takes now."""
        return int(self.sequence_window["high"] - self.sequence_window["low"])

    def send_packet(self, tree: Any, packet: Packet, when_answered: Callable[[], None]) -> Answer:
        """Send a packet; return the answer, which is not there yet.

        Raises:
            SMBConnectionClosed: the connection has ended.
        """
        answer = Answer(when_answered)
        self._transport.send_parts(self._parts(tree, (packet,), [answer]))
        return answer

    def post_packets(
        self, tree: Any, packets: Sequence[Packet], when_answered: Callable[[], None]
    ) -> list[Answer]:
        """Send packets together, each about the file that the first one opens; do not wait.

        Args:
            tree: smbprotocol's tree.
            packets: the packets.
            when_answered: called on another thread as soon as all answers are there, or will not come.

        Raises:
            SMBConnectionClosed: the connection has ended.
        """
        left = len(packets)

        def count() -> None:
            nonlocal left
            left -= 1
            if not left:
                when_answered()

        answers = [Answer(count) for _ in packets]
        self._transport.post_parts(self._parts(tree, packets, answers))
        return answers

    def _parts(self, tree: Any, packets: Sequence[Packet], answers: list[Answer]) -> list[bytes | memoryview]:
        """Number packets, expect their answers, and return them as they are sent."""
        numbers = self._numbered(packets, answers)
        session, has_charges = tree.session, self.supports_multi_credit
        is_encrypted = bool(session.encrypt_data or tree.encrypt_data)
        is_signed = not is_encrypted and bool(session.signing_required and session.signing_key)
        where = (tree.tree_connect_id, session.session_id)
        parts: list[bytes | memoryview] = []
        for index, (packet, number) in enumerate(zip(packets, numbers, strict=True)):
            charge = packet.credits if has_charges else 0
            size = HEADER.size + len(packet.body) + len(packet.content)
            is_last = index == len(packets) - 1
            padding = b"" if is_last else bytes(-size % 8)
            flags = (_SIGNED if is_signed else 0) | (_RELATED if index else 0)
            following = 0 if is_last else size + len(padding)
            head = HEADER.pack(
                *(b"\xfeSMB", 64, charge, 0, packet.command, 2 * charge + 64, flags, following, number, 0),
                *(*where, _NO_SIGNATURE),
            )
            if is_signed:
                whole = b"".join((head, packet.body, packet.content, padding))
                signature = self._generate_signature(
                    whole, session.signing_key, number, False, packet.command
                )
                head = head[:48] + signature
            parts += [head + packet.body, packet.content, padding]
        if is_encrypted:
            return self._encrypted(session, parts)
        return parts

    def _numbered(self, packets: Sequence[Packet], answers: list[Answer]) -> list[int]:
        """Take numbers for packets; those who send know whether the server takes so many."""
        numbers = []
        with self.sequence_lock:
            number = self.sequence_window["low"]
            for packet in packets:
                numbers.append(number)
                number += packet.credits if self.supports_multi_credit else 1
            self.sequence_window["low"] = number
        with self._answers_lock:
            if self._has_ended:
                raise SMBConnectionClosed("the connection has ended")
            self._answers.update(zip(numbers, answers, strict=True))
        return numbers

    def message_of(self, answer: Answer, path: str) -> bytes:
        """Return the message of an answer that has come.

        Raises:
            SMBOSError: the server answers with an error.
            SMBConnectionClosed: the connection ended before it came.
        """
        if answer.message is None:
            if self._ended_by is not None:
                raise self._ended_by
            raise SMBConnectionClosed("the connection ended before the answer")
        if answer.status != NtStatus.STATUS_SUCCESS:
            raise SMBOSError(answer.status, path)
        return answer.message

    def take(
        self, message: bytes | memoryview, *, was_encrypted: bool, content: bytes | None = None
    ) -> bytes | None:
        """Take an answer to our requests, else return it for smbprotocol; called on its reading thread.

        Raises:
            SMBException: its signature is wrong or missing.
        """
        start = 0
        while True:
            parts = HEADER.unpack_from(message, start)
            status, command, credit, flags, following, message_id = *parts[3:5], *parts[5:9]
            with self._answers_lock:
                answer = self._answers.get(message_id)
            if answer is None:
                return _unsigned(message[start:]) if was_encrypted else bytes(message[start:])
            part = bytes(message[start : start + following] if following else message[start:])
            if not was_encrypted:
                self._check_signature(part, command, flags, message_id, parts[12])
            with self.sequence_lock:  # SMB 2.0 servers may leave it at 0 and mean 1
                self.sequence_window["high"] += credit or (0 if self.supports_multi_credit else 1)
            if not (status == NtStatus.STATUS_PENDING and flags & _ASYNC):
                with self._answers_lock:
                    del self._answers[message_id]
                answer.status, answer.message, answer.content = status, part, content
                answer.come()
            if not following:
                return None
            start += following

    def end(self, error: BaseException | None = None) -> None:
        """Let those who wait for an answer know that none will come, and what the reading thread met."""
        with self._answers_lock:
            self._has_ended = True
            self._ended_by = error
            waiting, self._answers = list(self._answers.values()), {}
        for answer in waiting:
            answer.come()

    def take_encrypted(self, transform: bytes, sealed: memoryview) -> bytes | None:
        """Decrypt what is behind a transform header, and `take` it; `sealed` ends with its signature.

        Raises:
            SMBException: it is of an unknown session.
            InvalidTag: its signature is wrong.
        """
        session = self.session_table.get(TRANSFORM.unpack(transform)[6])
        if session is None:
            raise SMBException("an encrypted message of an unknown session")
        cipher, length = self._cipher(session.decryption_key)
        nonce, seen = transform[20 : 20 + length], transform[20:]
        if len(sealed) < _LARGE or not isinstance(cipher, aead.AESGCM):
            return self.take(cipher.decrypt(nonce, sealed, seen), was_encrypted=True)
        parts = Cipher(algorithms.AES(session.decryption_key), modes.GCM(nonce)).decryptor()
        parts.authenticate_additional_data(seen)
        head, content = parts.update(sealed[:READ_START]), parts.update(sealed[READ_START:-16])
        parts.finalize_with_tag(bytes(sealed[-16:]))
        if is_read(head, len(content)):
            with self._answers_lock:
                is_ours = message_id(head) in self._answers
            if is_ours:
                return self.take(head, was_encrypted=True, content=content)
        return self.take(head + content, was_encrypted=True)

    def _encrypted(self, session: Any, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
        """Return a message with its transform header, in a buffer that the next one uses again."""
        size = sum(map(len, parts))
        cipher, length = self._cipher(session.encryption_key)
        nonce = os.urandom(length)
        padded = nonce.ljust(16, b"\0")
        seen = TRANSFORM.pack(b"\xfdSMB", _NO_SIGNATURE, padded, size, 0, 1, session.session_id)
        if size < _LARGE or not isinstance(cipher, aead.AESGCM):
            sealed = cipher.encrypt(nonce, b"".join(parts), seen[20:])
            return [seen[:4] + sealed[-16:] + seen[20:], memoryview(sealed)[:-16]]
        if len(self._outgoing) < size:
            self._outgoing = bytearray(size)
        whole, end = memoryview(self._outgoing), 0
        encryptor = Cipher(algorithms.AES(session.encryption_key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(seen[20:])
        for part in parts:
            end += encryptor.update_into(part, whole[end:])
        encryptor.finalize()
        return [seen[:4] + encryptor.tag + seen[20:], whole[:size]]

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

    def send_parts(self, parts: list[bytes | memoryview]) -> None:
        """Send a message that is in several parts."""
        size = struct.pack(">I", sum(map(len, parts)))
        *small, last = [part for part in parts if part]
        with self._sock_lock:
            if not self.connected:
                raise SMBConnectionClosed("the connection has ended")
            self._sock.sendall(b"".join((size, *small)), socket.MSG_MORE)
            self._sock.sendall(last)

    def post_parts(self, parts: list[bytes | memoryview]) -> None:
        """Send a message without waiting; what the socket does not take now, a thread sends."""
        message = memoryview(b"".join((struct.pack(">I", sum(map(len, parts))), *parts)))
        if not self._sock_lock.acquire(blocking=False):
            self._in_a_thread(self._send_whole, message)
            return
        sent = len(message)
        try:
            if not self.connected:
                raise SMBConnectionClosed("the connection has ended")
            try:
                sent = self._sock.send(message, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            if sent < len(message):
                self._in_a_thread(self._send_rest, message[sent:])
        finally:
            if sent == len(message):
                self._sock_lock.release()

    def _in_a_thread(self, function: Callable[[memoryview], None], message: memoryview) -> None:
        """Call a function that sends, however long that takes; it ends with the connection."""
        threading.Thread(target=function, args=(message,), name="SMB, sending", daemon=True).start()

    def _send_whole(self, message: memoryview) -> None:
        self._sock_lock.acquire()
        self._send_rest(message)

    def _send_rest(self, message: memoryview) -> None:
        """Send the end of a message that was begun, and let others send."""
        try:
            with suppress(OSError):  # the thread that reads learns of it, and all who wait
                self._sock.sendall(message)
        finally:
            self._sock_lock.release()

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
                self._connection.end(error)
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
        return self._connection.take_encrypted(transform, room[: body + 16])

    def _exactly(self, room: memoryview, timeout: float | None = None) -> memoryview | None:
        """Fill a buffer; None if the connection ends before."""
        filled = 0
        with self._close_lock:
            if not self.connected:
                return None
            if timeout is not None and not self._has_something(max(timeout, 1)):
                raise TimeoutError(f"nothing came for {timeout:g} s")
            with suppress(ConnectionError):
                filled = self._sock.recv_into(room, len(room), socket.MSG_WAITALL)
        if filled < len(room):
            self.close()
            return None
        return room

    def _has_something(self, timeout: float) -> bool:
        """Wait until something can be read, or the connection has ended; `select` knows 1,024 files only."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def _unsigned(message: bytes | memoryview) -> bytes:
    """Return a message that was encrypted for smbprotocol, which would look for signatures in it."""
    changed, start, following = bytearray(message), 0, -1
    while following:
        following, flags = struct.unpack_from("<I", changed, start + 20)[0], start + 16
        changed[flags] &= ~_SIGNED & 0xFF
        start += following
    return bytes(changed)
