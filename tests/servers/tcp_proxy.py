"""A TCP proxy for tests, which makes a network fail: cut, pause, slow down, refuse; it counts the bytes.

It has a thread and an event loop of its own, so it serves a test in a loop, in threads, or with other
processes. Every method may be called from any thread and returns when the change is in force.

    with TcpProxy(server.port) as proxy:
        proxy.cut_after(10_000, "down")     # the client loses its connection after 10,000 bytes of the server
        ...                                 # talk to 127.0.0.1, port proxy.port
        assert proxy.cuts == 1
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeVar

T = TypeVar("T")

Direction = Literal["up", "down"]
"""`up`: from the client to the server; `down`: from the server to the client."""

How = Literal["rst", "fin"]
"""How a connection is cut: by a reset, as a crash or a firewall does it, or by a polite end."""

BLOCK_BYTES = 64 * 1024
PIECE_SECONDS = 0.05
"""A slow connection gets its bytes in pieces of this much time."""

DELIVERY_SECONDS = 2.0
"""How long a cut waits until the bytes before it have arrived."""

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class _Cut:
    """The order to cut when so many bytes have passed in a direction."""

    left: int
    direction: Direction
    how: How


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    task: asyncio.Task[None]
    cut: _Cut | None = None
    how: How | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class TcpProxy:
    """Forwards connections to a port; use it in a `with` block.

    Attributes:
        port: where it listens, on 127.0.0.1.
        connections: how many connections it has accepted.
        cuts: how many times it has cut (however many connections that ended).
    """

    def __init__(self, to_port: int, to_host: str = "127.0.0.1") -> None:
        self.port = 0
        self.connections = 0
        self.cuts = 0
        self._to = (to_host, to_port)
        self._passed: dict[Direction, int] = {"up": 0, "down": 0}
        self._rate: float | None = None
        self._cut: _Cut | None = None
        self._each: Callable[[], _Cut] | None = None
        self._open: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        # A socket that is bound and never listens: it keeps the port while connections are refused.
        self._place = _bound(0)

    @property
    def up(self) -> int:
        """How many bytes went from clients to the server."""
        return self._passed["up"]

    @property
    def down(self) -> int:
        """How many bytes went from the server to clients."""
        return self._passed["down"]

    def cut(self, how: How = "rst") -> None:
        """Cut all open connections now; new ones are accepted."""
        self._call(lambda: self._cut_all(how))

    def cut_after(self, count: int, direction: Direction, how: How = "rst", *, each: bool = False) -> None:
        """Cut when exactly so many bytes, counted from now, have been delivered in a direction.

        Once, and then all open connections; with `each`, every new connection is cut after so many bytes
        of its own, until `heal`.
        """

        def order() -> None:
            if each:
                self._each = lambda: _Cut(count, direction, how)
            else:
                self._cut = _Cut(count, direction, how)

        self._call(order)

    def pause(self) -> None:
        """Forward nothing from now on, in both directions; connections stay open (a black hole)."""
        self._call(self._flowing.clear)

    def resume(self) -> None:
        """End a pause; what was held back is forwarded."""
        self._call(self._flowing.set)

    def slow(self, bytes_per_second: float | None) -> None:
        """Limit the speed of each direction of each connection; None: no limit."""
        self._call(lambda: setattr(self, "_rate", bytes_per_second))

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED); open ones stay."""
        self._call(self._stop_listening)

    def heal(self) -> None:
        """Be a good network again: no cut is ordered, nothing is paused, slowed or refused."""

        def heal() -> None:
            self._cut = self._each = self._rate = None
            for connection in self._open:
                connection.cut = None
            self._flowing.set()
            if self._listener is None:
                self._listen()

        self._call(heal)

    def __enter__(self) -> Self:
        self.port = int(self._place.getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="TcpProxy", daemon=True)
        self._thread.start()
        self.heal()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            self._stop_listening()
            await asyncio.sleep(0)  # what was accepted has begun to be served
            waiting = [connection.ended.wait() for connection in self._open]
            self._end_all("rst")
            await asyncio.gather(*waiting)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._place.close()

    def _call(self, function: Callable[[], T]) -> T:
        """Call a function in the proxy's loop and wait for its result."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _listen(self) -> None:
        self._listener = _bound(self.port)
        self._listener.listen(100)
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        """Accept a connection. A task that waited for one would lose it if it were cancelled just then."""
        with suppress(OSError):  # the client has gone already
            client, _ = listener.accept()
            client.setblocking(False)
            self.connections += 1
            self._loop.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        """Forward one connection in both directions until both have ended or it is cut."""
        server = socket.socket()
        server.setblocking(False)
        connection = _Connection(client, server, asyncio.current_task() or _none())
        connection.cut = self._each() if self._each else None
        self._open.add(connection)
        try:
            await self._loop.sock_connect(server, self._to)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(connection, client, server, "up"))
                both.create_task(self._pump(connection, server, client, "down"))
        except* OSError:
            connection.how = connection.how or "rst"  # one side is gone: the other learns it the same way
        except* asyncio.CancelledError:
            pass  # it was cut, which `how` says
        try:
            if connection.how == "fin":
                await asyncio.gather(self._end_politely(client), self._end_politely(server))
        finally:
            for end in (client, server):
                if connection.how == "rst":
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                end.close()
            self._open.discard(connection)
            connection.ended.set()

    async def _end_politely(self, end: socket.socket) -> None:
        """Send FIN, and drop what still arrives: closing a socket with unread bytes would be a reset."""
        with suppress(OSError, TimeoutError):
            end.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(DELIVERY_SECONDS):
                while await self._loop.sock_recv(end, BLOCK_BYTES):  # noqa: ASYNC110 - it waits for bytes
                    await asyncio.sleep(0)

    async def _pump(
        self, connection: _Connection, source: socket.socket, target: socket.socket, direction: Direction
    ) -> None:
        while data := await self._loop.sock_recv(source, BLOCK_BYTES):
            while data and connection.how is None:
                data = data[await self._forward(connection, data, target, direction) :]
                await asyncio.sleep(0)  # sockets that are ready do not wait, and others have their turn
            if connection.how is not None:
                return
        await self._flowing.wait()
        target.shutdown(socket.SHUT_WR)

    async def _forward(
        self, connection: _Connection, data: bytes, target: socket.socket, direction: Direction
    ) -> int:
        """Forward as much as the speed and the ordered cuts allow; return how much that was."""
        await self._flowing.wait()
        rate = self._rate
        if rate is not None:
            data = data[: max(1, int(rate * PIECE_SECONDS))]
            await asyncio.sleep(len(data) / rate)
        orders = [cut for cut in (self._cut, connection.cut) if cut and cut.direction == direction]
        piece = data[: min([len(data), *(cut.left for cut in orders)])]
        for cut in orders:
            cut.left -= len(piece)
        self._passed[direction] += len(piece)
        await self._loop.sock_sendall(target, piece)
        for cut in orders:
            if cut.left <= 0:
                await _delivered(target)
                self._obey(cut, connection)
        return len(piece)

    def _obey(self, cut: _Cut, connection: _Connection) -> None:
        if cut is self._cut:
            self._cut = None
            self._cut_all(cut.how)
        elif cut is connection.cut:
            self.cuts += 1
            _end(connection, cut.how)

    def _cut_all(self, how: How) -> None:
        self.cuts += 1
        self._end_all(how)

    def _end_all(self, how: How) -> None:
        for connection in self._open:
            _end(connection, how)


def _end(connection: _Connection, how: How) -> None:
    connection.how = how
    connection.task.cancel()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


async def _delivered(target: socket.socket) -> None:
    """Wait until the other side has acknowledged all bytes: a reset drops what is still on its way."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(DELIVERY_SECONDS):
            while _unacknowledged(target):  # noqa: ASYNC110 - the kernel has no event for it
                await asyncio.sleep(0.001)


def _unacknowledged(target: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(target, termios.TIOCOUTQ, b"\0" * 4))[0])


def _none() -> asyncio.Task[None]:
    raise RuntimeError("a connection is served by a task")
