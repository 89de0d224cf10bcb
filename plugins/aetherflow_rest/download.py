"""Write an answer to a file; after a cut, request only the rest of it (Range) if the server can do that."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from aetherflow import StepContext, files
from aetherflow_rest.answers import Answer, answer_of, write_block, written

if TYPE_CHECKING:
    import httpx2

BLOCK_BYTES = 1024 * 1024
PARTIAL, OUT_OF_RANGE = 206, 416

_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class Download:
    """A file that grows by one answer or, after a cut, by several.

    Attributes:
        size: how many bytes it has.
    """

    def __init__(self, ctx: StepContext, path: Path, stream: BinaryIO) -> None:
        """Begin with an empty file, which `stream` writes; `path` is its name when it is whole."""
        self._ctx = ctx
        self._path = path
        self._stream = stream
        self._summed = files.ChecksumFile(stream)
        self._validator = ""
        self._status = 0

    @property
    def size(self) -> int:
        """How many bytes have arrived."""
        return self._summed.size

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest of the file, if it has a beginning that the server can recognise."""
        if not self.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def is_rest(self, response: httpx2.Response) -> bool:
        """Whether an answer is the rest of the file, or says that there is none."""
        place = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if not self.headers() or place is None:
            return False
        if response.status_code == OUT_OF_RANGE:
            return place[2] == str(self.size)
        return response.status_code == PARTIAL and place[1] == str(self.size)

    async def take(self, response: httpx2.Response) -> Answer:
        """Append the rest of the file, or write it again from its beginning.

        Raises:
            StepError: the file cannot be written (AF735).
        """
        if not self.is_rest(response):
            if self.size:
                await self._ctx.run_blocking(self._restart)
            self._validator, self._status = _validator(response), response.status_code
        if response.status_code != OUT_OF_RANGE:
            await self._append(response)
        answer = answer_of(response, b"", self.size, self._summed.hexdigest())
        return answer._replace(status=self._status)

    async def _append(self, response: httpx2.Response) -> None:
        begin, length = self.size, _length(response)
        total = None if length is None else begin + length
        async for block in response.aiter_bytes(BLOCK_BYTES):
            await self._ctx.run_blocking(write_block, self._summed, block, self._path)
            self._ctx.progress(self.size, total, unit="bytes", note=self._path.name)

    def _restart(self) -> None:
        self._stream.seek(0)
        self._stream.truncate()
        self._summed = files.ChecksumFile(self._stream)


@asynccontextmanager
async def downloading(ctx: StepContext, path: Path) -> AsyncIterator[Download]:
    """Give a download in a block; its file appears when the block ends without an error.

    Raises:
        StepError: the file cannot be written (AF735).
    """
    async with written(ctx, path) as stream:
        yield Download(ctx, path, stream)


def _validator(response: httpx2.Response) -> str:
    """Return what identifies this version of the file; empty if the rest of it cannot be requested."""
    headers = response.headers
    if "content-encoding" in headers or headers.get("accept-ranges", "").strip().lower() == "none":
        return ""
    tag: str = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified", "")


def _length(response: httpx2.Response) -> int | None:
    """Return how many bytes follow, if the server says that of what it sends as it is."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and "content-encoding" not in response.headers else None
