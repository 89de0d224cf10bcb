"""Read and write the content of a file over SFTP in order, with many requests under way at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from aetherflow_sftp.requests import retrieve_error

if TYPE_CHECKING:
    from asyncssh import SFTPClientFile

    from aetherflow_sftp.sftp_session import Session

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
    under_way: deque[tuple[int, asyncio.Future[bytes]]] = deque()
    try:
        allowed = 1  # a small file needs no more; twice as many after each full answer
        while True:
            while len(under_way) < allowed:
                under_way.append((offset, session.requests.read(file, size, offset)))
                offset += size
            start, answer = under_way.popleft()
            with session.silence.watch():
                data = await answer
            if not data:
                return
            yield data
            if len(data) == size:
                allowed = min(most, 2 * allowed)
            elif size <= limit:
                return  # a server gives less than it states to give only at the end of a file
            else:
                _drop(answer for _, answer in under_way)
                under_way.clear()
                offset, allowed = start + len(data), 1
    finally:
        _drop(answer for _, answer in under_way)


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
    under_way: deque[asyncio.Future[Any]] = deque()

    async def accepted() -> None:
        with session.silence.watch():
            await under_way.popleft()

    try:
        while (block := await _next(content)) is not None:
            view = memoryview(block)
            for start in range(0, len(block), size):
                if len(under_way) >= most:
                    await accepted()
                piece = view[start : start + size]
                under_way.append(session.requests.write(file, piece, offset))
                offset += len(piece)
        while under_way:
            await accepted()
    finally:
        _drop(under_way)


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    """Return the next block; None at the end.

    Raises:
        ContentFailed: it could not be produced.
    """
    try:
        return await anext(content)
    except StopAsyncIteration:
        return None
    except Exception as error:
        raise ContentFailed(error) from error


def _drop(answers: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel requests whose answers are no longer needed; those that come are dropped."""
    for answer in answers:
        answer.cancel()
        retrieve_error(answer)
