"""Send and receive the packets of SFTP sessions with less work than asyncssh needs for them.

asyncssh copies every packet of 32 kB about ten times, and makes a new cipher for each. This module takes over
the three packets that a transfer consists of (data out, data in, and new room in the server's window), as
long as the cipher is AES-GCM and no new keys are being agreed. Everything else (logins, keys, errors, other
channels) stays with the library: it gets each other packet as it came, in order. The counters of both
directions stay in the library's objects, so that either may take the next packet.

It uses private parts of the library, so it is on only for the versions that it was tested with. With others,
and through jump hosts, the library does all the work itself, more slowly.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST
from asyncssh.encryption import GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aetherflow_sftp.joined_writes import JoiningTransport

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

TESTED_VERSIONS = frozenset({"2.24.1"})
"""The versions of asyncssh whose private parts are known to be as this module expects."""

BUFFER_BYTES = 1024 * 1024
"""So much is received at once."""

_LENGTH = 4
_TAG = 16
_BLOCK = 16
_LEAST_PADDING = 4
_MOST_SEQUENCE = 0xFFFFFFFF
_START = struct.Struct(">BBII")
"""How a packet begins: size of the padding, kind, channel, and size of the data, or of the room."""


def receiving(connection: SSHClientConnection) -> FastReceiving | None:
    """Take over what a connection receives, if that is not done; return None if it cannot be."""
    transport = connection._transport
    if asyncssh.__version__ not in TESTED_VERSIONS or not isinstance(transport, JoiningTransport):
        return None
    protocol = transport.get_protocol()
    if not isinstance(protocol, FastReceiving):
        protocol = FastReceiving(connection)
        transport.set_protocol(protocol)
    return protocol


class _Cipher:
    """The AES-GCM of one direction; its counter stays with the library, which may use it in between."""

    def __init__(self) -> None:
        self._of: Any = None
        self.aead: Any = None
        self.parts: Any = None

    def is_ready(self, encryption: object) -> bool:
        """Return whether the library encrypts with AES-GCM now; take its key if it is a new one."""
        if encryption is not self._of:
            self._of, self.aead = encryption, None
            if isinstance(encryption, GCMEncryption):
                self.parts = encryption._cipher
                self.aead = AESGCM(self.parts._key)
        return self.aead is not None


class FastReceiving(asyncio.BufferedProtocol):
    """Receives in place of the library's protocol, and hands it all but the data of SFTP sessions.

    Args:
        connection: whose packets it takes over, as soon as they arrive.
    """

    def __init__(self, connection: SSHClientConnection) -> None:
        self._library: Any = connection
        self._cipher = _Cipher()
        self._sending: dict[int, FastSending] = {}
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._end = 0

    def add(self, sending: FastSending) -> None:
        """Take over what arrives for a channel."""
        known = self._library._channels
        self._sending = {number: one for number, one in self._sending.items() if number in known}
        self._sending[sending.channel._recv_chan] = sending

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the transport puts what it receives next."""
        del sizehint
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take the packets that are complete."""
        self._end += nbytes
        self._library._reset_keepalive_timer()
        begin = 0
        while self._end - begin >= _LENGTH:
            if self._library._transport is None:  # it gave the connection up
                begin = self._end
                break
            stop = begin + _LENGTH + int.from_bytes(self._view[begin : begin + _LENGTH], "big") + _TAG
            if not self._is_between_packets() or stop - begin > BUFFER_BYTES:
                self._library.data_received(bytes(self._view[begin : self._end]))
                begin = self._end
                break
            if stop > self._end:
                break
            packet = self._view[begin:stop]
            if not self._took(packet):
                self._library.data_received(bytes(packet))
            begin = stop
        left = self._end - begin
        if begin and left:
            self._buffer[:left] = self._buffer[begin : self._end]
        self._end = left

    def eof_received(self) -> bool | None:
        """Pass it on."""
        self._library.eof_received()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._library.connection_lost(exc)

    def _is_between_packets(self) -> bool:
        """Return whether the library waits for a new packet, whose cipher is AES-GCM."""
        library = self._library
        return (
            not library._inpbuf
            and library._recv_handler == library._recv_pkthdr
            and library._decompressor is None
            and self._cipher.is_ready(library._recv_encryption)
        )

    def _took(self, packet: memoryview) -> bool:
        """Decrypt a packet, and give its data to its channel; return false if it is not for us."""
        cipher = self._cipher
        try:
            plain = memoryview(cipher.aead.decrypt(cipher.parts._iv, packet[_LENGTH:], packet[:_LENGTH]))
        except InvalidTag:
            return False  # the library reports it
        if len(plain) < _START.size:
            return False
        padding, kind, number, size = _START.unpack_from(plain)
        sending = self._sending.get(number)
        if sending is None:
            return False
        channel = sending.channel
        if channel._recv_chan != number or channel._recv_state != "open":
            return False
        end = len(plain) - padding
        if kind == MSG_CHANNEL_DATA and _START.size + size == end and size <= channel._recv_window:
            self._count(cipher)
            channel._accept_data(plain[_START.size : end])
        elif kind == MSG_CHANNEL_WINDOW_ADJUST and _START.size == end:
            self._count(cipher)
            channel._send_window += size
            sending.flush_soon()
        else:
            return False
        return True

    def _count(self, cipher: _Cipher) -> None:
        """Count a packet, as the library would."""
        cipher.parts._update_iv()
        self._library._recv_seq = (self._library._recv_seq + 1) & _MOST_SEQUENCE


class FastSending:
    """Sends what is written to a channel: requests in a row share packets.

    The library's buffer stays the only queue, so that closing the channel, or new room in its window, work as
    ever.

    Args:
        connection: of the channel.
        channel: an SFTP session's, open.

    Attributes:
        channel: the same.
    """

    def __init__(self, connection: SSHClientConnection, channel: Any) -> None:
        self._library: Any = connection
        self.channel = channel
        self._cipher = _Cipher()
        self._is_waiting = False
        self._loop = asyncio.get_running_loop()
        self._flush_by_library = channel._flush_send_buf
        channel._flush_send_buf = self._flush

    def write(self, *parts: bytes | memoryview) -> None:
        """Send parts soon, together with what follows in this turn of the loop."""
        channel = self.channel
        for part in parts:
            channel._send_buf.append((part, None))
            channel._send_buf_len += len(part)
        self.flush_soon()

    def flush_soon(self) -> None:
        """Send what waits at the end of this turn of the loop."""
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send as much as the window of the channel allows, in full packets; in place of the library's."""
        self._is_waiting = False
        channel = self.channel
        if channel._send_state == "closed":
            return
        waiting = channel._send_buf
        while waiting and channel._send_window:
            room = min(channel._send_window, channel._send_pktsize)
            parts: list[Any] = []
            done = size = 0
            for part, _ in waiting:
                if size + len(part) > room:
                    break
                parts.append(part)
                size += len(part)
                done += 1
            del waiting[:done]
            if waiting and size < room:
                rest = memoryview(waiting[0][0])
                parts.append(rest[: room - size])
                waiting[0] = rest[room - size :], None
                size = room
            channel._send_buf_len -= size
            channel._send_window -= size
            self._send(parts, size)
        self._flush_by_library()  # no data is left that it could send; it closes the channel if that is due

    def _send(self, parts: list[Any], size: int) -> None:
        """Encrypt and send one packet."""
        library, cipher, channel = self._library, self._cipher, self.channel
        if not self._is_ready():
            channel.send_packet(MSG_CHANNEL_DATA, size.to_bytes(4, "big"), *parts)
            return
        padding = -(_START.size + size) % _BLOCK
        padding += _BLOCK if padding < _LEAST_PADDING else 0
        start = _START.pack(padding, MSG_CHANNEL_DATA, channel._send_chan, size)
        length = (_START.size + size + padding).to_bytes(_LENGTH, "big")
        plain = b"".join((start, *parts, os.urandom(padding)))
        library._transport.write(length)
        library._transport.write(cipher.aead.encrypt(cipher.parts._iv, plain, length))
        cipher.parts._update_iv()
        library._send_seq = (library._send_seq + 1) & _MOST_SEQUENCE
        library._rekey_bytes_sent += len(plain)

    def _is_ready(self) -> bool:
        """Return whether a packet can be sent now without agreeing new keys first."""
        library = self._library
        return (
            library._transport is not None
            and self.channel._send_chan is not None
            and library._auth_complete
            and library._kex_complete
            and library._rekey_bytes_sent < library._rekey_bytes
            and not (library._rekey_seconds and time.monotonic() >= library._rekey_time)
            and library._compressor is None
            and self._cipher.is_ready(library._send_encryption)
        )
