"""Read and write the content of a file over SFTP in order, with many requests under way at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncssh import SFTPClientFile

    from aetherflow_sftp.sftp_session import Session

T = TypeVar("T")

LEAST_BLOCK = 32 * 1024
"""Every server takes requests of this size."""

MOST_BLOCK = 256 * 1024
"""A larger request could take longer on a slow line than the server may be silent, in every attempt."""

WINDOW_BYTES = 8 * 2**20
"""How much of a file is under way at once."""

MOST_REQUESTS = 64


def block_size(limit: int) -> int:
    """Return the size of a request, by the limit that the server states."""
    return min(max(limit, LEAST_BLOCK), MOST_BLOCK)


def _requests(size: int) -> int:
    return max(4, min(MOST_REQUESTS, WINDOW_BYTES // size))


async def read_blocks(session: Session, file: SFTPClientFile, offset: int) -> AsyncGenerator[bytes, None]:
    """Yield a file from an offset to its end, in order; the next requests are under way meanwhile."""
    limit = session.client.limits.max_read_len
    size = block_size(limit)
    most = _requests(size)
    under_way: deque[tuple[int, asyncio.Task[bytes]]] = deque()

    async def ask(start: int, length: int) -> bytes:
        with session.silence.watch():
            return await file.read(length, start)

    def send(start: int) -> tuple[int, asyncio.Task[bytes]]:
        return start, started(ask(start, size))

    try:
        allowed = 1  # a small file needs no more; twice as many after each full answer
        while True:
            while len(under_way) < allowed:
                under_way.append(send(offset))
                offset += size
            start, task = under_way.popleft()
            data = await task
            if not data:
                return
            yield data
            if len(data) == size:
                allowed = min(most, 2 * allowed)
            elif size <= limit:
                return  # a server gives less than it states to give only at the end of a file
            else:
                _cancel(task for _, task in under_way)
                under_way.clear()
                offset, allowed = start + len(data), 1
    finally:
        _cancel(task for _, task in under_way)


class ContentFailed(Exception):
    """What is to be written could not be produced; it says nothing of the server.

    Attributes:
        error: what was raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def write_blocks(
    session: Session, file: SFTPClientFile, content: AsyncIterator[bytes], offset: int
) -> None:
    """Write content at an offset; return when the server has accepted all of it.

    Raises:
        ContentFailed: the content could not be produced.
    """
    size = block_size(session.client.limits.max_write_len)
    most = _requests(size)
    under_way: deque[asyncio.Task[int]] = deque()
    last = b""  # sent without a task: a small file has no other piece

    async def send(data: bytes, start: int) -> int:
        with session.silence.watch():
            return await file.write(data, start)

    try:
        async for block in _guarded(content):
            view = memoryview(block)
            for start in range(0, len(block), size):
                if last:
                    if len(under_way) >= most:
                        await under_way.popleft()
                    under_way.append(started(send(last, offset)))
                    offset += len(last)
                last = bytes(view[start : start + size])
        if last:
            await send(last, offset)
        while under_way:
            await under_way.popleft()
    finally:
        _cancel(under_way)


async def _guarded(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            block = await anext(content)
        except StopAsyncIteration:
            return
        except Exception as error:
            raise ContentFailed(error) from error
        yield block


def started(request: Coroutine[None, None, T]) -> asyncio.Task[T]:
    """Begin a request; its answer, or error, may be left unread."""
    task = asyncio.ensure_future(request)
    task.add_done_callback(_look_at)
    return task


def _look_at(task: asyncio.Task[Any]) -> None:
    """Retrieve the error of a request, so that asyncio does not report one that nobody waits for."""
    if not task.cancelled():
        task.exception()


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel requests whose answers are no longer needed; the library drops these when they come."""
    for task in tasks:
        task.cancel()
