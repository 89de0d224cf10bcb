"""Read the answer to a request: JSON and text within a limit, files as a whole, and what an error says."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import anyio
import msgspec

from aetherflow import StepContext, StepError, files
from aetherflow_rest.redirects import REDIRECTS, shown

if TYPE_CHECKING:
    import httpx2

EXCERPT_BYTES = 4096
EXCERPT_CHARACTERS = 300
CLEANUP_SECONDS = 10.0

_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed later."""

_HINTS = {
    400: "the server does not understand the request: correct what the answer names",
    401: "check the token or password of the resource",
    403: "the user of the resource has no right to do this",
    404: "check the path, and base_url of the resource",
    405: "check the method and the path",
    409: "the server is in another state than the request expects; see its answer",
    413: "the server takes only smaller bodies",
    415: "send the body in another format: json, form, body or file",
    422: "the server refuses the data: correct what the answer names",
    429: "the server limits the requests: repeat later, see options.retry of the resource",
}


class Answer(NamedTuple):
    """An answer that is read.

    Attributes:
        content: the body; empty if it was saved to a file.
        sha256: of the body.
    """

    status: int
    headers: dict[str, str]
    url: str
    content: bytes
    size: int
    sha256: str


async def read_answer(response: httpx2.Response, what: str, limit: int) -> Answer:
    """Read an answer into memory.

    Raises:
        StepError: it is larger than the limit (AF379).
    """
    content = bytearray()
    async for block in response.aiter_bytes():
        if len(content) + len(block) > limit:
            raise StepError(
                f"{what}: the answer is larger than {limit:,} bytes",
                hint="write it to a file: save_to; or raise max_json_kb",
                code="AF379",
            )
        content += block
    return answer_of(response, bytes(content), len(content), hashlib.sha256(content).hexdigest())


@asynccontextmanager
async def written(ctx: StepContext, path: Path) -> AsyncIterator[BinaryIO]:
    """Give an open temporary file in a block; it becomes `path` at the end, and is removed after an error.

    Raises:
        StepError: the file cannot be written (AF735).
    """
    whole = ctx.writing(path)
    try:
        part = await ctx.run_blocking(whole.__enter__)
    except OSError as error:
        raise files.cannot_write(path, error) from None
    try:
        stream = await ctx.run_blocking(_open_part, part, path)
        try:
            yield stream
        finally:
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await ctx.run_blocking(stream.close)
    except BaseException as error:
        with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
            await ctx.run_blocking(whole.__exit__, type(error), error, error.__traceback__)
        raise
    try:
        await ctx.run_blocking(whole.__exit__, None, None, None)
    except OSError as error:
        raise files.cannot_write(path, error) from None


def json_of(content: bytes, what: str) -> Any:
    """Return the JSON value of an answer.

    Raises:
        StepError: it is not valid JSON (AF379).
    """
    try:
        return msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = _excerpt(content) or "(empty)"
        raise StepError(
            f"{what}: the answer is not valid JSON: {error}: {said}",
            hint="check the path: servers answer with a page for people where nothing else is",
            code="AF379",
        ) from None


def looks_like_json(answer: Answer) -> bool:
    """Whether the header of an answer says that it is JSON."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"application/json", "text/json"} or kind.endswith("+json")


def text_of(answer: Answer) -> str | None:
    """Return the text of an answer; None if it is no text."""
    _, _, charset = answer.headers.get("content-type", "").lower().partition("charset=")
    try:
        return answer.content.decode(charset.partition(";")[0].strip(" \"'") or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return None


async def unexpected_status(response: httpx2.Response, resource: str, method: str) -> StepError:
    """Return the error for a status that the step does not expect, with what the server says about it."""
    status, what = response.status_code, f"{method} {shown(str(response.url))}"
    said = await _begin_of(response)
    headers = response.headers
    location = headers.get("location", "")
    if status in REDIRECTS and location:
        said = f"it redirects to {shown(location)}"
    later = f"; it demands to wait: Retry-After {headers['retry-after']}" if "retry-after" in headers else ""
    reason = f" {response.reason_phrase}" if response.reason_phrase else ""
    return StepError(
        f"resource {resource!r}: {what} answered {status}{reason}{later}{': ' if said else ''}{said}",
        hint=_HINTS.get(status) or _hint_of(status),
        code="AF378",
        kind="connection" if status in _TEMPORARY else "other",
        detail={"resource": resource, "request": what, "status": status, "answer": said},
    )


def _hint_of(status: int) -> str:
    match status // 100:
        case 5:
            return "the server has failed: let the step retry, or look at the server's log"
        case 3:
            return (
                "correct the address, let the resource follow it (options.follow_redirects), or add the "
                "status to expect_status"
            )
        case _:
            return "add the status to expect_status if it is no error"


async def _begin_of(response: httpx2.Response) -> str:
    """Return the beginning of a body as one line; an answer that breaks off is no further error."""
    import httpx2  # noqa: PLC0415 - slow to import, and it is there: the response is of it

    begin = b""
    try:
        async for block in response.aiter_bytes():
            begin += block
            if len(begin) >= EXCERPT_BYTES:
                break
    except (httpx2.RequestError, httpx2.StreamError):
        begin += b" ..."
    return _excerpt(begin)


def _excerpt(content: bytes) -> str:
    text = content[:EXCERPT_BYTES].decode("utf-8", "replace")
    if "\0" in text or text.count("\ufffd") > len(text) // 10:
        return f"({len(content):,} bytes that are no text)"
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= EXCERPT_CHARACTERS else f"{line[: EXCERPT_CHARACTERS - 4]} ..."


def answer_of(response: httpx2.Response, content: bytes, size: int, sha256: str) -> Answer:
    """Return an answer whose body has been read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, str(response.url), content, size, sha256)


def _open_part(part: Path, path: Path) -> BinaryIO:
    """Open the temporary file of `path`; without a buffer, so that closing it cannot find a full disk."""
    try:
        return cast("BinaryIO", part.open("wb", buffering=0))
    except OSError as error:
        error.filename = str(path)
        raise files.cannot_write(path, error) from None


def write_block(summed: files.ChecksumFile, block: bytes, path: Path) -> None:
    """Append bytes to the temporary file of `path`; blocking.

    Raises:
        StepError: the file cannot be written (AF735).
    """
    try:
        summed.write(block)
    except OSError as error:
        raise files.cannot_write(path, error) from None
