"""Bundles from a database: the default table, queries of one's own, and rows that are wrong."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aetherflow_db.bundle_source import DbSource
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Connector, Resource
from aetherflow.bundle.bundle_paths import bundle_paths
from aetherflow.bundle.source import BundleFile, SourceRequest
from aetherflow.bundle.sync import sync
from aetherflow.bundle.sync_report import SyncReport
from aetherflow.errors import BundleError
from aetherflow.spec.manifest import BundleSpec, SourceSpec
from tests.bundle.bundle_parts import NoWaiting

pytestmark = pytest.mark.asyncio

TABLE = "CREATE TABLE assets (bundle TEXT, path TEXT, sha256 TEXT, size INTEGER, updated_at TEXT, data BLOB)"


class Shop:
    """A database with a table of files, and the bundle that is synced from it."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        self.file = folder / "assets.sqlite"
        self.driver = driver
        self.paths = bundle_paths(folder / "work", "team")
        self.execute(TABLE)

    def execute(self, sql: str, *values: object) -> None:
        """Change the database."""
        with sqlite3.connect(self.file) as connection:
            connection.execute(sql, values)
        connection.close()

    def put(self, path: str, content: bytes, *, size: int | None = None) -> None:
        """Store a file in the table, with a size that may be wrong."""
        self.execute("DELETE FROM assets WHERE path = ?", path)
        digest, size = hashlib.sha256(content).hexdigest(), len(content) if size is None else size
        row = ("team", path, digest, size, "2026-11-29T10:00:00Z", content)
        self.execute("INSERT INTO assets VALUES (?, ?, ?, ?, ?, ?)", *row)

    @asynccontextmanager
    async def source(self, **keys: Any) -> AsyncIterator[DbSource]:
        """Open the source with these keys of the manifest."""
        opened: list[Connector] = []

        async def connect() -> Connector:
            config = (
                {"path": str(self.file)} if self.driver == "sqlite3" else {"url": f"sqlite:///{self.file}"}
            )
            kind = Sqlite3Connector if self.driver == "sqlite3" else SqlAlchemyConnector
            opened.append(await kind.open(Resource("assets", "db", self.driver, config)))
            return opened[-1]

        spec = SourceSpec(type="db", resource="assets", **keys)
        try:
            yield await DbSource.open(SourceRequest("team", spec, self.folder, connect))
        finally:
            for connector in opened:
                await connector.aclose()

    async def sync(self, **keys: Any) -> SyncReport:
        """Sync the bundle and return the report."""
        async with self.source(**keys) as source:

            async def opened() -> DbSource:
                return source

            spec = BundleSpec(id="team", source=SourceSpec(type="db", resource="assets", **keys))
            synced = await sync(spec, self.paths, opened, NoWaiting(), origin=str(keys))
        synced.hold.close()
        return synced.report

    def tree(self) -> dict[str, bytes]:
        """Return the active files."""
        root = self.paths.active.resolve()
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(params=["sqlite3", "sqlalchemy"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Shop:
    return Shop(tmp_path, request.param)


async def test_files_of_the_default_table_are_synced_changed_and_removed(shop: Shop) -> None:
    shop.put("flows/a.yaml", b"a")
    shop.put("data/b.bin", bytes(range(256)) * 8000)  # more than one piece
    shop.execute("INSERT INTO assets VALUES ('other', 'flows/other.yaml', NULL, 1, NULL, 'o')")

    assert (await shop.sync()).fetched == 2
    assert shop.tree() == {"flows/a.yaml": b"a", "data/b.bin": bytes(range(256)) * 8000}
    assert (await shop.sync()).fetched == 0

    shop.put("flows/a.yaml", b"A")
    shop.execute("DELETE FROM assets WHERE path = 'data/b.bin'")
    assert (await shop.sync()).fetched == 1
    assert shop.tree() == {"flows/a.yaml": b"A"}


async def test_a_half_written_file_leaves_the_last_bundle_active(shop: Shop) -> None:
    shop.put("flows/a.yaml", b"whole")
    await shop.sync()
    shop.put("flows/a.yaml", b"who", size=5)

    with pytest.raises(BundleError, match="has 3 bytes, but list_sql says 5"):
        await shop.sync()
    assert shop.tree() == {"flows/a.yaml": b"whole"}

    shop.put("flows/a.yaml", b"whole again")
    await shop.sync()
    assert shop.tree() == {"flows/a.yaml": b"whole again"}


async def test_queries_of_ones_own_name_their_columns_in_any_order(shop: Shop) -> None:
    shop.execute("CREATE TABLE texts (name TEXT, body TEXT, changed INTEGER)")
    shop.execute("INSERT INTO texts VALUES ('flows/ä.yaml', 'größer', 1764410400)")
    shop.execute("INSERT INTO texts VALUES ('else.txt', 'no', 1)")

    keys = {
        "list_sql": "SELECT changed AS MTIME, length(CAST(body AS BLOB)) AS SIZE, name AS PATH FROM texts "
        "WHERE name LIKE :folder || '%' AND :bundle = 'other'",
        "fetch_sql": "SELECT body FROM texts WHERE name = :path",
        "bundle": "other",
        "base_path": "flows/",
        "prefix_param": "folder",
    }

    await shop.sync(**keys)

    assert shop.tree() == {"flows/ä.yaml": "größer".encode()}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"list_sql": "SELECT path FROM assets"}, "list_sql returns no column size, but path"),
        ({"list_sql": "SELECT path, NULL AS size FROM assets"}, "whose size is None"),
        ({"fetch_sql": "SELECT 7 WHERE :path <> ''"}, "fetch_sql returns int for flows/a.yaml"),
        ({"fetch_sql": "SELECT data FROM assets WHERE 1 = 0"}, "fetch_sql returns no row for flows/a.yaml"),
        ({"list_sql": "SELECT * FROM nowhere"}, "no such table: nowhere"),
    ],
)
async def test_what_is_wrong_with_a_query_is_said(shop: Shop, keys: dict[str, Any], said: str) -> None:
    shop.put("flows/a.yaml", b"a")

    with pytest.raises(BundleError, match=said):
        await shop.sync(**keys)


async def test_a_resource_that_is_no_database_is_refused(tmp_path: Path) -> None:
    class Other(Connector):
        @classmethod
        async def open(cls, resource: Resource) -> Other:
            del resource
            return cls()

        async def aclose(self) -> None:
            """Nothing is open."""

    request = SourceRequest(
        "team",
        SourceSpec(type="db", resource="assets"),
        tmp_path,
        partial(Other.open, Resource("assets", "other", "other")),
    )

    with pytest.raises(BundleError, match="'assets' is no database"):
        await DbSource.open(request)


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        (1764410400, 1764410400_000000000),
        ("2025-11-29T10:00:00+00:00", 1764410400_000000000),
        ("2025-11-29 10:00:00", 1764410400_000000000),
        (datetime(2025, 11, 29, 10, tzinfo=UTC), 1764410400_000000000),
        (date(2025, 11, 29), 1764374400_000000000),
        ("yesterday", None),
        (float("nan"), None),
        (True, None),
        (None, None),
    ],
)
async def test_the_times_that_databases_have(value: Any, nanoseconds: int | None) -> None:
    assert BundleFile.of_row("a", 1, value, None).mtime_ns == nanoseconds


async def test_a_file_that_is_listed_has_its_fingerprint(shop: Shop) -> None:
    shop.put("a", b"a")
    async with shop.source() as source:
        (file,) = [one async for one in source.list()]

    digest = hashlib.sha256(b"a").hexdigest()
    assert file == BundleFile("a", 1, 1_795_946_400_000_000_000, digest)
