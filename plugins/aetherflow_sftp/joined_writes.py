"""Join the many small writes of asyncssh: one system call for all that it sends in a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

MOST_BYTES = 512 * 1024
"""So much is sent without waiting for the loop."""


class JoinedWrites:
    """Connects as the library would; `asyncssh.connect` takes it as the tunnel to go through.

    The library sends each request and each packet of 32 kB by itself. With many files under way, the system
    calls would cost more than everything else.
    """

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[object, asyncio.Protocol]:
        """Connect, and give the library's protocol a transport that joins writes."""
        loop = asyncio.get_running_loop()
        transport, shim = await loop.create_connection(lambda: _Shim(factory()), host, port)
        return transport, shim.protocol


class _Shim(asyncio.Protocol):
    """Passes everything to the library's protocol; only its transport is another one."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol
        # Its own methods, with no call in between.
        for name in ("data_received", "eof_received", "connection_lost"):
            setattr(self, name, getattr(protocol, name))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wrap the transport."""
        self.protocol.connection_made(JoiningTransport(cast("asyncio.Transport", transport)))


class JoiningTransport(asyncio.Transport):
    """A transport that sends in one go what is written in a row."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, together with what follows; to a broken connection nothing."""
        if self._transport.is_closing():
            return
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size >= MOST_BYTES:
            self._send()

    def _send(self) -> None:
        if self._waiting and not self._transport.is_closing():
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._transport.write(b"".join(waiting))

    def close(self) -> None:
        """Send what waits, and close."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close without sending what waits."""
        self._waiting.clear()
        self._transport.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol receive."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return what receives."""
        return self._transport.get_protocol()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Return whether it is closed, or closes."""
        return self._transport.is_closing()
