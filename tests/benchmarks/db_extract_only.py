"""Extract once, in a process of its own; print seconds, CPU seconds, lag of the loop and memory as JSON.

python db_extract_only.py step|plain DRIVER CONFIG_JSON FORMAT OUTPUT
"""

from __future__ import annotations

import csv
import json
import sqlite3
import statistics
import sys
import time
from contextlib import suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
import msgspec
from measure import Seconds, stopwatch

SQL = "SELECT * FROM sales"
CONNECTORS = {
    "duckdb": "aetherflow_db.duckdb_connector:DuckDbConnector",
    "sqlite3": "aetherflow_db.sqlite3_connector:Sqlite3Connector",
    "sqlalchemy": "aetherflow_db.sqlalchemy_connector:SqlAlchemyConnector",
}
PAUSE = 0.002
"""The task that measures the lag sleeps so long; how much longer it sleeps is the lag."""
LOOKS = 25
"""It looks at the memory of other processes only now and then."""


async def step(
    driver: str, config: dict[str, Any], file_format: str, output: Path
) -> dict[str, float | None]:
    """Run db_extract_stream, and measure the lag of its event loop meanwhile."""
    from aetherflow_db.extract_stream import db_extract_stream  # noqa: PLC0415 - its import is measured

    from aetherflow.clock import SystemClock  # noqa: PLC0415 - the same
    from aetherflow.sdk.connector import Resource  # noqa: PLC0415 - the same
    from aetherflow.testing import FakeRun  # noqa: PLC0415 - the same

    module, _, name = CONNECTORS[driver].partition(":")
    connector = await getattr(import_module(module), name).open(Resource("db", "db", driver, config, {}))
    run = FakeRun(output.parent, clock=SystemClock(), connectors={"db": connector})
    inputs = msgspec.convert(
        {"resource": "db", "sql": SQL, "output": str(output), "format": file_format},
        db_extract_stream.input_type,
    )
    lags: list[float] = []
    children: dict[str, float] = {}

    async def watch() -> None:
        while True:
            if len(lags) % LOOKS == 0:
                children.update(_children())
            begun = time.perf_counter()
            await anyio.sleep(PAUSE)
            lags.append(time.perf_counter() - begun - PAUSE)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await anyio.sleep(1)
        idle = statistics.quantiles(lags, n=100)[98]
        lags.clear()
        read = stopwatch()
        await db_extract_stream.run(run.context(), inputs)
        took = read()
        tasks.cancel_scope.cancel()
    await connector.aclose()
    return {
        "seconds": took,
        "cpu": took.cpu if isinstance(took, Seconds) else None,
        "lag": statistics.quantiles(lags, n=100)[98],
        "idle": idle,
        "peak": _peak("self") + sum(children.values()),
    }


def _children() -> dict[str, float]:
    """Return the processes that this one has started and that run, with the most memory of each.

    The kernel's own figure for ended children is not theirs: it begins with the memory of the process that
    started them.
    """
    numbers = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    found = {}
    for number in chain(*numbers):
        with suppress(OSError):  # it has just ended
            found[number] = _peak(number)
    return found


def _peak(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    _, _, peak = status.partition("VmHWM:")
    return int(peak.split()[0]) / 1024 if peak else 0.0  # none: it has ended


def plain(driver: str, config: dict[str, Any], file_format: str, output: Path) -> dict[str, float | None]:
    """Do it as one would without AetherFlow: the driver's cursor and the csv module."""
    read = stopwatch()
    if driver == "sqlite3":
        cursor: Any = sqlite3.connect(config["path"]).execute(SQL)
    elif driver == "duckdb":
        import duckdb  # noqa: PLC0415 - its import is measured

        cursor = duckdb.connect(config["path"], read_only=True).execute(SQL)
    else:
        import psycopg  # noqa: PLC0415 - its import is measured

        cursor = psycopg.connect(config["url"].replace("+psycopg", "")).cursor("rows")
        cursor.execute(SQL)
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if file_format == "tsv" else ",")
        writer.writerow([column[0] for column in cursor.description])
        while rows := cursor.fetchmany(5000):
            writer.writerows(rows)
    took = read()
    cpu = took.cpu if isinstance(took, Seconds) else None
    return {"seconds": took, "cpu": cpu, "peak": _peak("self")}


def main() -> None:
    """Extract as the arguments say."""
    way, driver, config, file_format, output = sys.argv[1:]
    arguments = driver, json.loads(config), file_format, Path(output)
    found = anyio.run(step, *arguments) if way == "step" else plain(*arguments)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
