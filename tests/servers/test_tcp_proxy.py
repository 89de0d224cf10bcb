"""The TCP proxy of the tests: it forwards, counts, and breaks connections at the byte that was ordered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from tests.servers.free_port import silent_port
from tests.servers.tcp_proxy import Direction, How, TcpProxy

MILLION = b"x" * 1_000_000


@contextmanager
def echo_server() -> Iterator[int]:
    """Send everything back, to each connection in a thread; the port is given."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(client,), daemon=True).start()

    def echo(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                return  # it was cut

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def connected(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def answered(client: socket.socket, count: int) -> bytes:
    """What arrives until so many bytes are there, or the connection ends."""
    got = b""
    while len(got) < count and (data := client.recv(65536)):
        got += data
    return got


def test_both_directions_are_forwarded_and_counted() -> None:
    with echo_server() as port, TcpProxy(port) as proxy, connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(MILLION,))
        sender.start()
        assert answered(client, len(MILLION)) == MILLION
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""

        assert (proxy.up, proxy.down) == (1_000_000, 1_000_000)
        assert (proxy.connections, proxy.cuts) == (1, 0)


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("count", [0, 1, 70_001])
def test_a_cut_down_comes_after_exactly_so_many_bytes(count: int, how: How) -> None:
    with echo_server() as port, TcpProxy(port) as proxy, connected(proxy) as client:
        client.sendall(b"hello")
        assert answered(client, 5) == b"hello"
        proxy.cut_after(count, "down", how)

        threading.Thread(target=_send, args=(client,), daemon=True).start()
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                answered(client, 10**9)
        else:
            assert len(answered(client, 10**9)) == count
        assert proxy.down == 5 + count

        with connected(proxy) as again:
            again.sendall(b"again")
            assert answered(again, 5) == b"again"
        assert proxy.cuts == 1


def _send(client: socket.socket) -> None:
    try:
        client.sendall(MILLION)
    except OSError:
        return  # that is what the cut is for


@pytest.mark.parametrize("direction", ["up", "down"])
def test_each_new_connection_can_be_cut_after_so_many_bytes_of_its_own(direction: Direction) -> None:
    with echo_server() as port, TcpProxy(port) as proxy:
        proxy.cut_after(10, direction, "fin", each=True)
        for _ in range(3):
            with connected(proxy) as client:
                client.sendall(b"x" * 10)
                assert len(answered(client, 20)) <= 10
        assert proxy.cuts == 3

        proxy.heal()
        with connected(proxy) as client:
            client.sendall(b"x" * 20)
            assert len(answered(client, 20)) == 20


def test_a_pause_holds_everything_back_until_it_is_ended() -> None:
    with echo_server() as port, TcpProxy(port) as proxy, connected(proxy) as client:
        proxy.pause()
        client.sendall(b"hello")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(5)

        proxy.resume()
        client.settimeout(10)
        assert answered(client, 5) == b"hello"


def test_a_slow_network_takes_its_time() -> None:
    with echo_server() as port, TcpProxy(port) as proxy, connected(proxy) as client:
        proxy.slow(10_000)
        began = time.monotonic()
        client.sendall(b"x" * 2_000)
        assert len(answered(client, 2_000)) == 2_000
        assert time.monotonic() - began >= 0.2


def test_refused_connections_leave_the_open_ones_alone() -> None:
    with echo_server() as port, TcpProxy(port) as proxy, connected(proxy) as client:
        client.sendall(b"1")
        assert answered(client, 1) == b"1"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)
        client.sendall(b"2")
        assert answered(client, 1) == b"2"

        proxy.heal()
        with connected(proxy) as again:
            again.sendall(b"3")
            assert answered(again, 1) == b"3"


def test_a_server_that_is_not_there_is_a_reset() -> None:
    with (
        silent_port() as port,
        TcpProxy(port) as proxy,
        pytest.raises(ConnectionResetError),
        connected(proxy) as client,
    ):
        client.recv(1)


def test_it_serves_a_loop_that_has_the_server_too() -> None:
    async def exchange() -> bytes:
        async def answer(stream: anyio.abc.ByteStream) -> None:
            async with stream:
                await stream.send(await stream.receive(5))

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - this is no Django
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            with TcpProxy(port) as proxy:
                async with await anyio.connect_tcp("127.0.0.1", proxy.port) as client:
                    await client.send(b"hello")
                    got = await client.receive(5)
            tasks.cancel_scope.cancel()
        return got

    assert anyio.run(exchange) == b"hello"
