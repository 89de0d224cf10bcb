"""The bundle source `rest`: files that a web server lists at one path and sends at another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

from aetherflow import BundleError, BundleFile, BundleSource, SourceChanged, SourceRequest
from aetherflow_rest.answers import json_of, read_answer, unexpected_status
from aetherflow_rest.call import Call
from aetherflow_rest.httpx_connector import RestConnector
from aetherflow_rest.redirects import shown

LIST_PATH, FETCH_PATH, PREFIX_PARAM = "/list", "/fetch", "prefix"

LISTING_BYTES = 64 * 1024 * 1024
"""The largest listing; 20,000 files need about 4 MB."""

PIECE_BYTES = 1024 * 1024
OK, GONE = 200, frozenset({404, 410})


class RestSource(BundleSource):
    """Files of a web server. The fingerprint of a file is its `sha256`, else its size and time.

    `list_path` answers `{"files": [{"path", "sha256", "size", "mtime"}]}`, or the list alone; `fetch_path`
    with the parameter `path` sends the content of one. Both get the parameter `bundle` and, if there is a
    base_path, `prefix`.
    """

    def __init__(self, connector: RestConnector, request: SourceRequest) -> None:
        spec = request.spec
        self._connector = connector
        self._params = {"bundle": spec.bundle or request.bundle_id}
        if spec.base_path:
            self._params[spec.prefix_param or PREFIX_PARAM] = spec.base_path
        self._list_path = spec.list_path or LIST_PATH
        self._fetch_path = spec.fetch_path or FETCH_PATH

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Open the connector.

        Raises:
            BundleError: its resource is no HTTP server.
        """
        connector = await request.connect()
        if not isinstance(connector, RestConnector):
            raise BundleError(
                f"the resource {request.spec.resource!r} is no HTTP server",
                hint="name a resource of kind rest in bundle.source.resource",
                code="AF874",
            )
        return cls(connector, request)

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the files of the listing."""
        what = f"GET {self._list_path}"

        async def read(response: Any) -> bytes:
            if response.status_code != OK:
                raise await unexpected_status(response, self._connector.name, "GET")
            return (await read_answer(response, what, LISTING_BYTES)).content

        content = await self._connector.send(
            Call("GET", self._list_path, self._params, may_repeat=True), read
        )
        listing = json_of(content, what)
        rows = listing.get("files") if isinstance(listing, dict) else listing
        if not isinstance(rows, list):
            raise _wrong_listing(what, "no list of files")
        for row in rows:
            yield _file(what, row)

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a file."""
        params = {**self._params, "path": file.path}
        call = Call("GET", self._fetch_path, params, {"Accept-Encoding": "identity"}, may_repeat=True)
        async with self._connector.answered(call) as response:
            if response.status_code in GONE:
                raise SourceChanged(f"{shown(self._fetch_path)} does not have {file.path}, which was listed")
            if response.status_code != OK:
                raise await unexpected_status(response, self._connector.name, "GET")
            async for block in response.aiter_bytes(PIECE_BYTES):
                yield block


def _file(what: str, row: Any) -> BundleFile:
    if not isinstance(row, dict):
        raise _wrong_listing(what, f"{row!r} instead of a file")
    try:
        return BundleFile.of_row(row.get("path"), row.get("size"), row.get("mtime"), row.get("sha256"))
    except ValueError as error:
        raise _wrong_listing(what, f"a file whose {error}") from None


def _wrong_listing(what: str, found: str) -> BundleError:
    return BundleError(
        f"{what} answers {found}",
        hint='a listing is {"files": [{"path": "flows/a.yaml", "size": 120, "sha256": "...", "mtime": 0}]}',
        code="AF875",
    )
