"""The bundle source `db`: files that are rows of a table, listed by one query and fetched by another."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

from aetherflow import (
    BundleError,
    BundleFile,
    BundleSource,
    SourceChanged,
    SourceRequest,
    StopSwitch,
    run_blocking,
)
from aetherflow_db.connection import FETCH_SIZE, SqlConnector
from aetherflow_db.query import Query, Row

LIST_SQL = "SELECT path, sha256, size, updated_at FROM assets WHERE bundle = :bundle ORDER BY path"
FETCH_SQL = "SELECT data FROM assets WHERE bundle = :bundle AND path = :path"

PIECE_BYTES = 1024 * 1024
_TIMES = ("mtime", "updated_at")


class DbSource(BundleSource):
    """Files in a table. The fingerprint of a file is its `sha256`, else its size and time.

    `list_sql` returns the columns path and size, and if it can sha256 and mtime (or updated_at), in any
    order. `fetch_sql` returns one row, whose first column is the content: bytes, or text for UTF-8.
    """

    def __init__(self, connector: SqlConnector, request: SourceRequest) -> None:
        self._connector = connector
        spec = request.spec
        self._params = {"bundle": spec.bundle or request.bundle_id}
        self._params[spec.prefix_param or "prefix"] = spec.base_path or ""
        self._list_sql = spec.list_sql or LIST_SQL
        self._fetch_sql = spec.fetch_sql or FETCH_SQL

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Open the connector.

        Raises:
            BundleError: its resource is no database.
        """
        connector = await request.connect()
        if not isinstance(connector, SqlConnector):
            raise BundleError(
                f"the resource {request.spec.resource!r} is no database",
                hint="name a resource of kind db in bundle.source.resource",
                code="AF874",
            )
        return cls(connector, request)

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the rows of `list_sql` as files."""
        columns, rows = await self._rows(self._list_sql, self._params)
        at = {name.lower(): number for number, name in enumerate(columns)}
        if missing := [name for name in ("path", "size") if name not in at]:
            raise BundleError(
                f"list_sql returns no column {' and no column '.join(missing)}, but {', '.join(columns)}",
                hint="select path, size, sha256, mtime: size is the number of bytes of the content",
                code="AF875",
            )
        for row in rows:
            yield _file(at, row)

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a row; its size and sha256 must still be those that were listed."""
        _, rows = await self._rows(self._fetch_sql, {**self._params, "path": file.path})
        if not rows:
            raise SourceChanged(f"fetch_sql returns no row for {file.path}")
        content = _bytes(file.path, rows[0][0])
        if len(content) != file.size:
            raise SourceChanged(
                f"{file.path} has {len(content):,} bytes, but list_sql says {file.size:,}",
                hint="its size is the number of bytes of the content: octet_length(data)",
            )
        for begin in range(0, len(content), PIECE_BYTES):
            yield content[begin : begin + PIECE_BYTES]

    async def _rows(self, sql: str, params: Mapping[str, str]) -> tuple[tuple[str, ...], Sequence[Row]]:
        """Return the columns and all rows of a query; it is given only the parameters that it names."""
        named = {
            name: value for name, value in params.items() if re.search(rf"(?<!:):{re.escape(name)}\b", sql)
        }
        switch = StopSwitch()

        def fetch() -> tuple[tuple[str, ...], Sequence[Row]]:
            with self._connector.rows(Query(sql, named), FETCH_SIZE, switch) as rows:
                return rows.names, [row for batch in rows.batches for row in batch]

        try:
            return await run_blocking(fetch, limiter=self._connector.slots)
        finally:
            switch()  # a cancelled sync does not wait for the query


def _file(at: Mapping[str, int], row: Row) -> BundleFile:
    """Return the file that a row of `list_sql` describes.

    Raises:
        BundleError: its path or its size is none.
    """
    sha256 = row[at["sha256"]] if "sha256" in at else None
    time = next((row[at[name]] for name in _TIMES if name in at), None)
    try:
        return BundleFile.of_row(row[at["path"]], row[at["size"]], time, sha256)
    except ValueError as error:
        raise BundleError(
            f"list_sql returns a row whose {error}",
            hint="path is a text, size a whole number of bytes",
            code="AF875",
        ) from None


def _bytes(path: str, value: Any) -> bytes:
    """Return the content that `fetch_sql` returns.

    Raises:
        BundleError: it is neither bytes nor text.
    """
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case str():
            return value.encode()
        case _:
            raise BundleError(
                f"fetch_sql returns {type(value).__name__} for {path}, and no content",
                hint="its first column is the content: bytes or text",
                code="AF875",
            )
