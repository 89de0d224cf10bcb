"""One connection on which all tasks send their small requests at once; the event loop waits for the answers.

A thread for each request would cost several times as much as the request itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from aetherflow_smb.answers import STOPPED_ON_LINK
from aetherflow_smb.packets import Packet

if TYPE_CHECKING:
    from aetherflow_smb.share import Share
    from aetherflow_smb.share_paths import SharePath

Ask = Callable[..., Awaitable[list[bytes]]]
"""Sends packets together, and returns their answers."""


class Detour(Exception):
    """A DFS namespace or a link is on the way, which smbprotocol follows."""


class Refused(Exception):
    """The server refuses a request.

    Attributes:
        status: its answer, an NTSTATUS.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


class Line:
    """A connection that is logged in, and those who use it.

    Attributes:
        share: the connection; nobody else sends on it.
        users: how many tasks use it.
    """

    def __init__(self, share: Share) -> None:
        self.share = share
        self.users = 0
        self._under_way = 0
        self._answered: anyio.Event | None = None

    async def ask(self, tree: Any, path: SharePath, *packets: Packet) -> list[bytes]:
        """Send packets of up to 64 KB together, each about the file that the first one opens.

        A cancellation does not wait: the answers are dropped when they come.

        Raises:
            Detour: smbprotocol must do it.
            Refused: the server refuses one of them; the first of those.
            SMBConnectionClosed: the connection ended before the answers came.
            TimeoutError: they did not come in time.
        """
        if tree.is_dfs_share:
            raise Detour
        connection = tree.session.connection
        while self._under_way and connection.credits_left < len(packets):
            if self._answered is None:
                self._answered = anyio.Event()
            await self._answered.wait()  # each request under way is answered in time, or fails
        loop = asyncio.get_running_loop()
        come: asyncio.Future[None] = loop.create_future()
        limit = loop.call_later(self.share.login.timeout, _fail, come)
        self._under_way += 1
        try:
            answers = connection.post_packets(tree, packets, partial(_set_soon, loop, come))
            await come
        finally:
            limit.cancel()
            self._under_way -= 1
            if self._answered is not None:
                self._answered.set()
                self._answered = None
        for answer in answers:
            if answer.status == STOPPED_ON_LINK:
                raise Detour
            if answer.status:
                raise Refused(answer.status)
        return [connection.message_of(answer, path.unc) for answer in answers]


def _set_soon(loop: asyncio.AbstractEventLoop, come: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(_set, come)


def _set(come: asyncio.Future[None]) -> None:
    if not come.done():
        come.set_result(None)


def _fail(come: asyncio.Future[None]) -> None:
    if not come.done():
        come.set_exception(TimeoutError())
