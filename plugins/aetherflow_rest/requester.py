"""Perform a `rest_request`: one answer or all pages of a list, into outputs or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from aetherflow import StepContext, StepError, files
from aetherflow_rest.answers import (
    Answer,
    json_of,
    looks_like_json,
    read_answer,
    text_of,
    unexpected_status,
    write_block,
    written,
)
from aetherflow_rest.bodies import SentFile, file_body, form_body, guessed_type, json_body, text_body
from aetherflow_rest.call import Body, Call, no_body
from aetherflow_rest.dotted_path import NotThere, look_up
from aetherflow_rest.download import downloading
from aetherflow_rest.failures import NotDone
from aetherflow_rest.httpx_connector import RestConnector, rest_connector
from aetherflow_rest.pagination import PageRequest, Pages, Pagination
from aetherflow_rest.redirects import harmless, is_same_server, origin_of, shown
from aetherflow_rest.repetition import IDEMPOTENT, READING

if TYPE_CHECKING:
    import httpx2

    from aetherflow_rest.rest_request import RestRequestInput

REFUSALS = range(400, 500)
GONE = frozenset({404, 410})
"""The statuses of a DELETE that did its work before."""


class Requester:
    """One `rest_request`, ready to be sent.

    Attributes:
        what: the method and the path, for messages and as the key of the effect.
        is_reading: whether the request changes nothing on the server.
    """

    def __init__(
        self,
        ctx: StepContext,
        inputs: RestRequestInput,
        connector: RestConnector,
        body: Body,
        path: Path | None,
    ) -> None:
        """Take what `requester` has prepared."""
        self._ctx = ctx
        self._inputs = inputs
        self._connector = connector
        self._path = path
        self._limit = inputs.max_json_kb * 1024
        method = inputs.method.upper()
        headers = dict(inputs.headers or {})
        if inputs.key_header:
            headers.setdefault(inputs.key_header, quote(ctx.idempotency_key, safe="/:._-[]"))
        if path is not None:
            headers.setdefault("Accept-Encoding", "identity")  # the file as it is, and its length beforehand
        self.what = f"{method} {shown(inputs.path) or '/'}"
        self.is_reading = method in READING
        self._call = Call(
            method,
            inputs.path,
            {name: value for name, value in (inputs.params or {}).items() if value is not None},
            headers,
            body,
            method in IDEMPOTENT or bool(inputs.key_header),
            inputs.timeout,
            inputs.is_named,
        )

    @property
    def detail(self) -> dict[str, Any]:
        """Facts for a person who must find out whether the request arrived."""
        key = {"idempotency_key": self._ctx.idempotency_key} if self._inputs.key_header else {}
        return {"resource": self._inputs.resource, "server": self._connector.base_url(), **key}

    @property
    def why_again(self) -> str:
        """Why it is no harm to send the request twice; empty if that is not known."""
        if self._inputs.key_header:
            return ": the server knows it by its key"
        return ": it does the same again" if self._call.may_repeat else ""

    async def perform(self, *, is_repeated: bool = False) -> dict[str, Any]:
        """Send the request and return the outputs.

        Args:
            is_repeated: whether an earlier attempt may have sent it, and did not get its answer.

        Raises:
            StepError: there is no answer, or none that is expected.
        """
        self._ctx.progress_note = f"{self.what} has no answer"
        how = self._inputs.pagination
        if how is not None:
            return await self._all_pages(how)
        if self._path is not None:
            answer = await self._saved(self._path, is_repeated=is_repeated)
            return {**_of_answer(answer), "path": str(self._path)}

        async def read(response: httpx2.Response) -> Answer:
            await self._check_status(response, is_repeated=is_repeated)
            return await read_answer(response, self.what, self._limit)

        answer = await self._connector.send(self._call, read)
        outputs = _of_answer(answer)
        if answer.content and (looks_like_json(answer) or self._inputs.extract):
            outputs["json"] = json_of(answer.content, self.what)
        elif answer.content:
            outputs["text"] = text_of(answer)
        if isinstance(outputs.get("json"), list):
            outputs["count"] = len(outputs["json"])
        return outputs

    def extracted(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs with those that `extract` names.

        Raises:
            StepError: the answer has no such value (AF380).
        """
        found = {}
        for name, path in (self._inputs.extract or {}).items():
            try:
                found[name] = look_up(outputs.get("json"), path)
            except NotThere as error:
                raise StepError(
                    f"{self.what}: extract.{name}: {error}",
                    hint="correct the dotted path; the parts are keys, numbers of items, or *",
                    code="AF380",
                ) from None
        return {**outputs, **found}

    async def _check_status(self, response: httpx2.Response, *, is_repeated: bool = False) -> None:
        status = response.status_code
        is_done = is_repeated and self._call.method == "DELETE" and status in GONE
        if not self._inputs.is_expected(status) and not is_done:
            error = await unexpected_status(response, self._connector.name, self._call.method)
            raise NotDone.of(error) if status in REFUSALS else error

    async def _saved(self, path: Path, *, is_repeated: bool) -> Answer:
        """Write the answer to the file; after a cut, a repetition continues it."""
        async with downloading(self._ctx, path) as download:

            async def take(response: httpx2.Response) -> Answer:
                if not download.is_rest(response):
                    await self._check_status(response, is_repeated=is_repeated)
                return await download.take(response)

            is_get = self._call.method == "GET"
            more = download.headers if is_get else self._call.more_headers
            return await self._connector.send(msgspec.structs.replace(self._call, more_headers=more), take)

    async def _page(self, response: httpx2.Response) -> Answer:
        await self._check_status(response)
        return await read_answer(response, self.what, self._limit)

    async def _all_pages(self, how: Pagination) -> dict[str, Any]:
        """Read all pages: into memory, or each item as a line of the file."""
        if self._path is None:
            kept: list[Any] = []
            outputs = await self._pages(how, kept, None)
            return {**outputs, "json": kept, "count": len(kept)}
        async with written(self._ctx, self._path) as stream:
            summed = files.ChecksumFile(stream)
            outputs = await self._pages(how, None, summed)
        return {**outputs, "path": str(self._path), "size": summed.size, "sha256": summed.hexdigest()}

    async def _pages(
        self, how: Pagination, kept: list[Any] | None, summed: files.ChecksumFile | None
    ) -> dict[str, Any]:
        pages = Pages(how, self.what)
        request: PageRequest | None = pages.first()
        size = count = 0
        outputs: dict[str, Any] = {}
        while request is not None:
            answer = await self._connector.send(await self._call_of(request), self._page)
            page = json_of(answer.content, self.what)
            items = pages.items_of(page)
            size, count = size + answer.size, count + len(items)
            if summed is not None and self._path is not None:
                lines = msgspec.json.Encoder().encode_lines(items)
                await self._ctx.run_blocking(write_block, summed, lines, self._path)
            elif kept is not None:
                self._check_size(size)
                kept += items
            request = pages.next_after(page, items, answer.headers, answer.url)
            self._ctx.progress(count, unit="items", note=f"page {pages.count}")
            outputs = {**_of_answer(answer), "pages": pages.count, "size": size, "count": count, "sha256": ""}
        return outputs

    async def _call_of(self, request: PageRequest) -> Call:
        """Return the request for a page; a page on another server gets no headers that may be secret."""
        if request.url is not None:
            home = origin_of(await self._connector.address(self._call))
            headers = self._call.headers
            if not is_same_server(request.url, home):
                headers = harmless(headers)
            return msgspec.structs.replace(self._call, url=request.url, params=None, headers=headers)
        return msgspec.structs.replace(self._call, params={**(self._call.params or {}), **request.params})

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise StepError(
                f"{self.what}: the pages together are larger than {self._limit:,} bytes",
                hint="write the items to a file: save_to; or raise max_json_kb",
                code="AF379",
            )


async def requester(ctx: StepContext, inputs: RestRequestInput) -> Requester:
    """Open the connector and prepare the body.

    Raises:
        StepError: the connector cannot be opened, or a path or a file cannot be used.
    """
    connector = await rest_connector(ctx, inputs.resource)
    path = None if inputs.save_to is None else await ctx.run_blocking(ctx.path, inputs.save_to)
    return Requester(ctx, inputs, connector, await _body(ctx, inputs), path)


async def _body(ctx: StepContext, inputs: RestRequestInput) -> Body:
    form = {name: value for name, value in (inputs.form or {}).items() if value is not None}
    if inputs.file is not None:
        given = inputs.file
        path = await ctx.run_blocking(ctx.path, given if isinstance(given, str) else given.path)
        if isinstance(given, str):
            sent = SentFile(
                path, guessed_type(path), "file" if inputs.form is not None else "", path.name, form
            )
        else:
            kind = given.content_type or guessed_type(path)
            sent = SentFile(path, kind, given.field, given.name or path.name, form)
        return await file_body(ctx, sent)
    if inputs.json is not None:
        return json_body(inputs.json)
    if inputs.form is not None:
        return form_body(form)
    return no_body if inputs.body is None else text_body(inputs.body)


def _of_answer(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "json": None,
        "text": None,
        "headers": answer.headers,
        "path": "",
        "size": answer.size,
        "sha256": answer.sha256,
        "pages": 1,
        "count": None,
    }
