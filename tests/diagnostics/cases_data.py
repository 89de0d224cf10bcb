"""AF90x: queries whose result cannot be written, and data files that cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aetherflow_db.extract_stream import db_extract_stream
from aetherflow_db.fetch_small import db_fetch_small
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError
from aetherflow.data_files import read_data_file
from aetherflow.testing import FakeRun
from tests.diagnostics.case import Case, Told


def fails(act: Callable[[FakeRun], Awaitable[Any]]) -> Told:
    """Return the case of a step beside an empty database."""

    async def by(folder: Path) -> str:
        database = await Sqlite3Connector.open(Resource("r", "db", "sqlite3", {"path": ":memory:"}))
        run = FakeRun(folder, connectors={"r": database})
        try:
            await act(run)
        except StepError as error:
            text = f"{error.code}: {error.message}\n    hint: {error.hint}\n"
            return text.replace(str(folder), "/home/ann/work")
        raise AssertionError("nothing failed")

    return Told(by)


def streams(sql: str, **inputs: Any) -> Told:
    """Return the case of a query whose rows cannot be written."""

    async def act(run: FakeRun) -> Any:
        given = {"resource": "r", "sql": sql, "output": "out.csv", "format": "csv", **inputs}
        return await db_extract_stream.run(
            run.context(), msgspec.convert(given, db_extract_stream.input_type)
        )

    return fails(act)


async def _many(run: FakeRun) -> Any:
    given = {"resource": "r", "sql": "SELECT 1 AS n UNION ALL SELECT 2", "max_rows": 1}
    return await db_fetch_small.run(run.context(), msgspec.convert(given, db_fetch_small.input_type))


async def _unreadable(run: FakeRun) -> Any:
    path = run.context().artifacts.parents[3] / "sales.csv"
    path.write_bytes(b"day,amount\n2026-01-02\n")
    with read_data_file(path) as rows:
        return list(rows.batches)


CASES: dict[str, Case | Told] = {
    "AF900": streams("SELECT 1 AS n", delimiter='"'),
    "AF901": streams("SELECT 1 AS amount", dtypes={"amount": "money"}),
    "AF902": streams(
        "SELECT 'none' AS amount", format="parquet", output="out.parquet", dtypes={"amount": "int"}
    ),
    "AF903": fails(_many),
    "AF905": streams("SELECT 'Łódź' AS city", encoding="latin-1"),
    "AF906": fails(_unreadable),
}
