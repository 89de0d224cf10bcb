"""The connections of a resource: lend one to each transfer, and call blocking functions with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from aetherflow import StepError, run_blocking
from aetherflow_smb.answers import status_of
from aetherflow_smb.failures import answer_failed, connection_lost, how_it_broke
from aetherflow_smb.share_line import Ask, Detour, Line

if TYPE_CHECKING:
    from aetherflow_smb.settings import Login
    from aetherflow_smb.share import Share
    from aetherflow_smb.share_listing import Listing
    from aetherflow_smb.share_paths import SharePath
    from aetherflow_smb.share_streams import ShareReader, ShareWriter

T = TypeVar("T")

THREADS = 16
"""How many blocking calls one resource makes at once."""

SHORT_CALLS = 4
"""How many connections are used for what is not small and no transfer: to delete files, and make folders."""

LOGIN_GRACE_SECONDS = 0.5

CLOSE_SECONDS = 5.0
"""How long the end of a run waits until the servers have confirmed the logout."""


class SharePool:
    """The connections of a resource; those that nobody uses are idle, and used again.

    Args:
        login: how they log in.
        make: makes another one, which is not connected yet.
    """

    def __init__(self, login: Login, make: Callable[[Login], Share]) -> None:
        self._login = login
        self._make = make
        self._idle: list[Share] = []
        self._line: Line | None = None
        self._line_lock = anyio.Lock(fast_acquire=True)
        self._threads = anyio.CapacityLimiter(THREADS)
        self._short = anyio.CapacityLimiter(SHORT_CALLS)

    @property
    def idle(self) -> int:
        """How many connections nobody uses."""
        return len(self._idle)

    async def aclose(self) -> None:
        """Log out."""
        shares, self._idle = self._idle, []
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            for share in shares:
                await run_blocking(share.close, limiter=anyio.CapacityLimiter(1))
        for share in shares:
            share.break_off()

    async def once(self, doing: str, path: SharePath, function: Callable[[Share], T]) -> T:
        """Call a function with a connection, in a thread; see `call`.

        Raises:
            StepError: see `call`.
        """
        async with self._short, self.connection() as share:
            return await self.call(share, doing, path, lambda: function(share))

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Share]:
        """Lend a connection; afterwards the next call may have it, unless it is broken."""
        share = await self._borrow()
        try:
            yield share
        finally:
            self._give_back(share)

    async def direct(
        self,
        doing: str,
        path: SharePath,
        request: Callable[[Ask], Awaitable[T]],
        detour: Callable[[Share], T],
    ) -> T:
        """Call what sends small requests, on the connection of all who do that.

        Args:
            doing: what it does, for errors, such as `read`.
            path: where.
            request: sends the requests.
            detour: does the same where a DFS namespace or a link is on the way; blocking.

        Raises:
            StepError: the server refuses what is requested, or the connection is lost (AF348).
        """
        line, tree = await self._join_line(doing, path)
        try:
            return await request(partial(line.ask, tree, path))
        except Detour:
            pass
        except StepError:
            raise
        except Exception as error:
            raise self._explained(line.share, doing, path, error) from error
        finally:
            self._leave(line)
        return await self.once(doing, path, detour)

    async def _join_line(self, doing: str, path: SharePath) -> tuple[Line, Any]:
        """Return the connection of all who send small requests, with smbprotocol's tree of the share.

        The first one borrows it, and the last one who leaves gives it back.
        """
        line = self._line
        if line is not None and line.share.is_usable and (tree := line.share.known_tree(path)) is not None:
            line.users += 1
            return line, tree
        async with self._line_lock:
            if self._line is None or not self._line.share.is_usable:
                self._line = Line(await self._borrow())
            line = self._line
            line.users += 1
            try:
                share = line.share
                return line, await self.call(share, doing, path, lambda: share.use_share(path))
            except BaseException:
                self._leave(line)
                raise

    def _leave(self, line: Line) -> None:
        line.users -= 1
        if not line.users:
            if self._line is line:
                self._line = None
            self._give_back(line.share)

    async def _borrow(self) -> Share:
        self._idle = [share for share in self._idle if share.is_usable]
        share = self._idle.pop() if self._idle else self._make(self._login)
        try:
            if share.needs_a_look and not await self.call(share, "use", None, share.is_alive):
                share.break_off()
                share = self._make(self._login)
        except BaseException:
            self._give_back(share)
            raise
        return share

    def _give_back(self, share: Share) -> None:
        if share.is_usable:
            share.rest()
            self._idle.append(share)
        else:
            share.break_off()

    async def call(self, share: Share, doing: str, path: SharePath | None, function: Callable[[], T]) -> T:
        """Call a function that uses this connection, in a thread.

        A server that does not answer, and a cancellation, break the connection off, which ends the thread.

        Raises:
            StepError: the server refuses what the function requests, or the connection is lost (AF348).
        """
        async with self._threads:
            # A login has the same limit, and a better sentence.
            limit = self._login.timeout + (0 if share.is_connected else LOGIN_GRACE_SECONDS)
            try:
                with anyio.fail_after(limit):
                    return await run_blocking(function, limiter=anyio.CapacityLimiter(1))
            except StepError:
                raise
            except anyio.get_cancelled_exc_class():
                share.break_off()
                raise
            except Exception as error:
                raise self._explained(share, doing, path, error) from error

    def _explained(self, share: Share, doing: str, path: SharePath | None, error: Exception) -> StepError:
        """Return the error for what a call met; unless it is an answer of the server, the connection ends."""
        written = self._login.server if path is None else path.written or path.unc
        if (status := status_of(error)) is not None:
            return answer_failed(self._login.resource, doing, written, status)
        share.break_off()
        if isinstance(error, TimeoutError):
            said = f"{self._login.server} does not answer within {self._login.timeout:g} s"
        else:  # the reading thread of smbprotocol raises anything
            said = how_it_broke(self._login, error)
        return connection_lost(self._login, doing, written, said)


@contextmanager
def or_break_off(share: Share, file: Listing | ShareReader | ShareWriter) -> Iterator[None]:
    """Break the connection off if the block fails: that closes the file, without waiting for the server."""
    try:
        yield
    except BaseException:
        share.break_off()
        file.forget()
        raise
