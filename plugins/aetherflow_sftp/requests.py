"""Begin requests of an SFTP session to read and write a piece of a file; the answers are waited for later.

`Requests` asks by the library's methods. `FastRequests` sends them, and takes the answers, without the
library's streams and tasks, where `fast_packets` is possible.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import asyncssh
from asyncssh.constants import FXP_DATA, FXP_READ, FXP_WRITE
from asyncssh.packet import PacketDecodeError, SSHPacket
from asyncssh.sftp import MAX_SFTP_PACKET_LEN

from aetherflow_sftp.fast_packets import FastSending, receiving

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SFTPClientFile, SSHClientConnection

T = TypeVar("T")

_LENGTH = 4
_DATA = struct.Struct(">BII")
"""How an answer with data begins: its kind, the number of the request, the size of the data."""


class Requests:
    """Asks by the methods of the library."""

    def read(self, file: SFTPClientFile, size: int, offset: int) -> asyncio.Future[bytes]:
        """Begin to read a piece; the answer is empty at the end of the file."""
        return started(file.read(size, offset))

    def write(self, file: SFTPClientFile, data: memoryview, offset: int) -> asyncio.Future[Any]:
        """Begin to write a piece."""
        return started(file.write(bytes(data), offset))


def requests_of(connection: SSHClientConnection, client: SFTPClient) -> Requests:
    """Return how to ask in a session that nobody uses yet."""
    receives = receiving(connection)
    handler: Any = client._handler
    if receives is None or handler._writer is None:
        return Requests()
    channel = handler._writer.channel
    sending = FastSending(connection, channel)
    fast = FastRequests(handler, sending)
    receives.add(sending)
    return fast


class FastRequests(Requests):
    """Asks without the library's streams and tasks; so do all other requests of the session then.

    Args:
        handler: the library's part that knows which requests wait.
        sending: sends for its channel.
    """

    def __init__(self, handler: Any, sending: FastSending) -> None:
        self._handler = handler
        self._sending = sending
        self._channel = handler._writer.channel
        self._parts: list[bytes] = []
        self._missing = _LENGTH
        self._is_length = True
        self._closing: asyncio.Task[None] | None = None
        handler.send_packet = self._send
        self._channel._session.data_received = self._received

    def read(self, file: SFTPClientFile, size: int, offset: int) -> asyncio.Future[bytes]:
        """Begin to read a piece; the answer is empty at the end of the file."""
        where = offset.to_bytes(8, "big") + size.to_bytes(4, "big")
        return self._begin(FXP_READ, (_handle(file), where), _Reading(self._read))

    def write(self, file: SFTPClientFile, data: memoryview, offset: int) -> asyncio.Future[Any]:
        """Begin to write a piece."""
        where = offset.to_bytes(8, "big") + len(data).to_bytes(4, "big")
        return self._begin(FXP_WRITE, (_handle(file), where, data), _Waiter(self._decoded))

    def _begin(
        self, kind: int, parts: tuple[bytes | memoryview, ...], waiter: _Waiter[T]
    ) -> asyncio.Future[T]:
        self._handler._send_request(kind, parts, waiter)
        return waiter.future

    def _decoded(self, kind: int, packet: SSHPacket) -> Any:
        return self._handler._packet_handlers[kind](self._handler, packet)

    def _read(self, kind: int, packet: SSHPacket) -> bytes:
        try:
            data: bytes = self._decoded(kind, packet)[0]
        except asyncssh.SFTPEOFError:
            return b""
        return data

    def _send(self, kind: int, number: int | None, *parts: bytes | memoryview) -> None:
        """Send a request; in place of the library's method."""
        del number  # it is in the parts
        if self._handler._writer is None:
            raise asyncssh.SFTPNoConnection("Connection not open")
        if self._channel.is_closing():
            return
        *first, last = parts
        size = 1 + sum(map(len, parts))
        self._sending.write(b"".join((size.to_bytes(_LENGTH, "big"), bytes((kind,)), *first)), last)

    def _received(self, data: bytes, datatype: int | None) -> None:
        """Take the answers out of what arrives; in place of the library's method."""
        if datatype is not None:
            return  # what the server writes on stderr
        begin = 0
        while begin < len(data):
            part = data[begin : begin + self._missing]
            begin += len(part)
            self._missing -= len(part)
            self._parts.append(part)
            if self._missing:
                return
            parts, self._parts = self._parts, []
            if self._is_length:
                self._missing = int.from_bytes(b"".join(parts), "big")
                if not 1 + _LENGTH <= self._missing <= MAX_SFTP_PACKET_LEN:
                    self._fail("an answer of an impossible size")
                    return
            else:
                self._missing = _LENGTH
                if not self._has_read(parts):
                    self._answered(b"".join(parts))
            self._is_length = not self._is_length

    def _has_read(self, parts: list[bytes]) -> bool:
        """Take an answer with data that `read` waits for, if it is one: its data is copied once only."""
        if len(parts[0]) < _DATA.size or parts[0][0] != FXP_DATA:
            return False
        _, number, size = _DATA.unpack_from(parts[0])
        waiter = self._handler._requests.get(number)
        if not isinstance(waiter, _Reading) or _DATA.size + size != sum(map(len, parts)):
            return False
        del self._handler._requests[number]
        if not waiter.cancelled():
            waiter.set_data(b"".join((parts[0][_DATA.size :], *parts[1:])))
        return True

    def _answered(self, whole: bytes) -> None:
        packet = SSHPacket(whole)
        kind, number = packet.get_byte(), packet.get_uint32()
        waiter = self._handler._requests.pop(number, None)
        if waiter is None:
            self._fail("an answer to no request")
        elif not waiter.cancelled():
            waiter.set_result((kind, packet))

    def _fail(self, what: str) -> None:
        """End the session, and with it all requests."""
        self._closing = asyncio.ensure_future(self._handler._cleanup(asyncssh.SFTPBadMessage(what)))


class _Waiter(Generic[T]):
    """What the library gives an answer to: it is decoded at once, without a task.

    Attributes:
        future: gets what was decoded.
    """

    def __init__(self, decode: Callable[[int, SSHPacket], T]) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._decode = decode
        self.cancelled = self.future.cancelled
        self.set_exception = self.future.set_exception

    def set_result(self, answer: tuple[int, SSHPacket]) -> None:
        try:
            self.future.set_result(self._decode(*answer))
        except (asyncssh.SFTPError, PacketDecodeError, KeyError) as error:
            self.future.set_exception(error)


class _Reading(_Waiter[bytes]):
    """Waits for a piece of a file."""

    def set_data(self, data: bytes) -> None:
        self.future.set_result(data)


def _handle(file: SFTPClientFile) -> bytes:
    """Return the server's name of an open file, with its length before it.

    Raises:
        ValueError: it is closed.
    """
    handle: bytes | None = file._handle
    if handle is None:
        raise ValueError("the file is closed")
    return len(handle).to_bytes(4, "big") + handle


def started(request: Coroutine[None, None, T]) -> asyncio.Task[T]:
    """Begin a request; its answer, or error, may be left unread."""
    task = asyncio.ensure_future(request)
    task.add_done_callback(retrieve_error)
    return task


def retrieve_error(task: asyncio.Future[Any]) -> None:
    """Retrieve the error of a request, so that asyncio does not report one that nobody waits for."""
    if task.done() and not task.cancelled():
        task.exception()
