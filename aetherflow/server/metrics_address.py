"""Read the address where a server serves its metrics, and listen there before anything else begins."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketListener

from aetherflow.errors import UsageError

LOOPBACK = "127.0.0.1"
BACKLOG = 128
_CODE = "AF890"
_ADDRESS = re.compile(
    r"(?:(?P<host>[^\s:\[\]/]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\])?:)?(?P<port>[0-9]{1,5})", re.ASCII
)
_LARGEST_PORT = 65535


class Address(msgspec.Struct, frozen=True):
    """A host and a port; 0 is any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listening(msgspec.Struct, frozen=True, eq=False):
    """Where a server listens.

    Attributes:
        address: with the port that is really used.
        is_local: only this machine reaches it.
    """

    listeners: Sequence[SocketListener]
    address: Address
    is_local: bool


def read_address(text: str) -> Address:
    """Return the address that a text means; a port alone, also as `:9464`, is one of this machine.

    Raises:
        UsageError: it is no address.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or int(found["port"]) > _LARGEST_PORT:
        raise UsageError(
            f"{text!r} is no address for metrics",
            hint="write a port (9464), or HOST:PORT (0.0.0.0:9464, [::1]:9464)",
            code=_CODE,
        )
    return Address((found["host"] or LOOPBACK).strip("[]"), int(found["port"]))


@asynccontextmanager
async def listening(address: Address) -> AsyncIterator[Listening]:
    """Listen on an address for a block.

    Raises:
        UsageError: it cannot be listened on: it is in use, reserved, or not one of this machine.
    """
    try:
        found = await anyio.create_tcp_listener(
            local_host=address.host, local_port=address.port, backlog=BACKLOG
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UsageError(
            f"metrics cannot be served at {address}: {why}",
            hint="name another address, end what listens there (ss -ltnp), or 0 for any free port",
            code=_CODE,
        ) from None
    async with found:
        listeners = [one for one in found.listeners if isinstance(one, SocketListener)]
        sockets: list[socket.socket] = [one.extra(SocketAttribute.raw_socket) for one in found.listeners]  # noqa: S610 - anyio's
        hosts = [one.getsockname()[0].partition("%")[0] for one in sockets]
        is_local = all(ipaddress.ip_address(host).is_loopback for host in hosts)
        port = sockets[0].getsockname()[1]
        yield Listening(listeners, Address(address.host, port), is_local)
