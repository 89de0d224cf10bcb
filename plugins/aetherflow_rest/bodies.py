"""The body of a request: JSON, a form, a text, or a file that is sent in pieces."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import anyio
import msgspec

from aetherflow import StepContext, StepError
from aetherflow_rest.call import Body

BLOCK_BYTES = 1024 * 1024
CLOSE_SECONDS = 5.0


class SentFile(NamedTuple):
    """A file to send.

    Attributes:
        field: its field in a multipart form; empty: the file is the whole body.
        form: the other fields of that form.
    """

    path: Path
    content_type: str
    field: str = ""
    name: str = ""
    form: Mapping[str, str | list[str]] = {}


def json_body(value: Any) -> Body:
    """Return a body with a JSON value."""
    return _whole(msgspec.json.encode(value), "application/json")


def form_body(fields: Mapping[str, str | list[str]]) -> Body:
    """Return a body with the fields of a form."""
    return _whole(urlencode(fields, doseq=True).encode(), "application/x-www-form-urlencoded")


def text_body(text: str) -> Body:
    """Return a body with a text."""
    return _whole(text.encode(), "text/plain; charset=utf-8")


async def file_body(ctx: StepContext, file: SentFile) -> Body:
    """Return a body that reads a file piece by piece while it is sent.

    Raises:
        StepError: the file cannot be read (AF387).
    """
    size = await _at_file(ctx, file.path, lambda: _size(file.path))
    if not file.field:
        return _streamed(ctx, file, size, b"", b"", file.content_type)
    boundary = os.urandom(16).hex()
    before = b"".join(_field(boundary, name, text) for name, text in _pairs(file.form))
    before += _part(boundary, file.field, f'; filename="{_quoted(file.name)}"', file.content_type)
    after = f"\r\n--{boundary}--\r\n".encode()
    return _streamed(ctx, file, size, before, after, f"multipart/form-data; boundary={boundary}")


def guessed_type(path: Path) -> str:
    """Return the content type that the name of a file says."""
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _whole(content: bytes, content_type: str) -> Body:
    return lambda: {"content": content, "headers": {"Content-Type": content_type}}


def _streamed(
    ctx: StepContext, file: SentFile, size: int, before: bytes, after: bytes, content_type: str
) -> Body:
    async def content() -> AsyncIterator[bytes]:
        if before:
            yield before
        async for block in _blocks(ctx, file.path, size):
            yield block
        if after:
            yield after

    headers = {"Content-Type": content_type, "Content-Length": str(len(before) + size + len(after))}
    return lambda: ({"content": content(), "headers": headers})


async def _blocks(ctx: StepContext, path: Path, size: int) -> AsyncIterator[bytes]:
    """Yield as much of a file as was announced."""
    stream = await _at_file(ctx, path, lambda: path.open("rb", buffering=0))
    done = 0
    try:
        while done < size:
            count = min(BLOCK_BYTES, size - done)
            block = await _at_file(ctx, path, lambda count=count: stream.read(count))  # type: ignore[misc]  # bound at once
            if not block:
                raise _unreadable(path, f"it became shorter while it was sent: {done} of {size} bytes")
            yield block
            done += len(block)
            ctx.progress(done, size, unit="bytes", note=path.name)
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await ctx.run_blocking(stream.close)


async def _at_file(ctx: StepContext, path: Path, work: Callable[[], Any]) -> Any:
    try:
        return await ctx.run_blocking(work)
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from None


def _size(path: Path) -> int:
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    return path.stat().st_size


def _unreadable(path: Path, reason: str) -> StepError:
    return StepError(
        f"the file {path} cannot be sent: {reason}",
        hint="check the path; a relative one is below the artifacts of the job",
        code="AF387",
    )


def _pairs(form: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    return [
        (name, text)
        for name, value in form.items()
        for text in (value if isinstance(value, list) else [value])
    ]


def _field(boundary: str, name: str, text: str) -> bytes:
    return _part(boundary, name, "", "") + text.encode() + b"\r\n"


def _part(boundary: str, name: str, rest: str, content_type: str) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"{rest}\r\n'
    return f"--{boundary}\r\n{disposition}{kind}\r\n".encode()


def _quoted(text: str) -> str:
    """Return a name for a header of a part, as browsers write it."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
