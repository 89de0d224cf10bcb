"""Values that no type of Python or Arrow has: infinity, far years, 24:00, times with an offset, intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aetherflow_db.extract_stream import db_extract_stream
from aetherflow_db.fetch_small import db_fetch_small

from aetherflow import StepError
from tests.plugins.db_run import Open, opener

pytestmark = pytest.mark.asyncio
open_run = opener(["duckdb", "postgres"])

FAR = {
    "postgresql": (
        "'infinity'::date, '-infinity'::timestamp, 'infinity'::timestamptz, '24:00'::time,"
        " '0044-03-15 BC'::date, '0044-03-15 10:00 BC'::timestamp, '12026-01-01 10:00'::timestamptz"
    ),
    "duckdb": (
        "'infinity'::date, '-infinity'::timestamp, 'infinity'::timestamptz, '24:00'::time,"
        " '0044-03-15 (BC)'::date, '0044-03-15 (BC) 10:00:00'::timestamp, '12026-01-01 10:00'::timestamptz"
    ),
}
WRITTEN = {
    "postgresql": "infinity,-infinity,infinity,24:00:00,0044-03-15 BC,0044-03-15 10:00:00 BC,"
    "12026-01-01 10:00:00+00",
    "duckdb": "infinity,-infinity,infinity,24:00:00,0044-03-15 (BC),0044-03-15 (BC)T10:00:00,"
    "12026-01-01T10:00:00+00:00",
}
USUAL = "DATE '2026-01-31', TIMESTAMP '2026-01-31 10:00', NULL, TIME '08:30', NULL, NULL, NULL"


async def written(run: Any, sql: str, file_format: str = "csv", **more: Any) -> Path:
    output = await run.step(
        db_extract_stream, sql=sql, output=f"out.{file_format}", format=file_format, **more
    )
    return Path(output.outputs["artifact_path"])


async def test_a_date_or_time_that_python_has_not_is_written_as_the_database_has_it(open_run: Open) -> None:
    async with open_run() as run:
        dialect = run.connector.dialect
        sql = f"SELECT {FAR[dialect]} UNION ALL SELECT {USUAL}"
        text = (await written(run, sql, include_header=False)).read_text()
        assert set(text.splitlines()) == {
            WRITTEN[dialect],
            "2026-01-31,2026-01-31T10:00:00,,08:30:00,,,",
        }
        if dialect == "postgresql":  # the rows of DuckDB's module have 9999-12-31 for infinity
            small = await run.step(db_fetch_small, sql=f"SELECT {FAR[dialect]}")
            assert ",".join(small.rows[0]) == WRITTEN[dialect]
            with pytest.raises(StepError, match=r"column 'd': the value 'infinity' is no date") as caught:
                await written(run, "SELECT 1 AS n, 'infinity'::date AS d", "parquet")
            assert (caught.value.code, "{d: string}" in (caught.value.hint or "")) == ("AF902", True)


async def test_a_type_that_arrow_has_not_keeps_its_text(open_run: Open) -> None:
    async with open_run() as run:
        more = ", map{'k': 1} AS m, '2026-01-01 00:00:00.123456789'::timestamp_ns AS n"
        sql = (
            "SELECT '08:00:00+02'::timetz AS t, INTERVAL '2 days' AS i, CAST(5 AS bit(4)) AS b"
            if run.connector.dialect == "postgresql"
            else f"SELECT '08:00:00+02'::timetz AS t, INTERVAL 2 day AS i, '0101'::bit AS b{more}"
        )
        _, line = (await written(run, sql)).read_text().splitlines()
        assert line.startswith("08:00:00+02:00,P2D,0101")
        table = pq.read_table(await written(run, sql, "parquet")).select(["t", "i", "b"])
        assert table.to_pylist() == [{"t": "08:00:00+02:00", "i": "P2D", "b": "0101"}]
        if run.connector.dialect == "duckdb":
            assert line.endswith(',"{""k"":1}",2026-01-01T00:00:00.123456')
