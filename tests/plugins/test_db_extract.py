"""db_extract as the engine calls it: real contexts, real files, real databases."""

from __future__ import annotations

import csv
import json
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from aetherflow_db.extract import DbExtractInput, DbExtractOutput, db_extract
from aetherflow_db.fast_rows import Wanted
from aetherflow_db.query import Query, Rows
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector, Sqlite3Options
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow import Connector, Resource, StepError, StopSwitch
from aetherflow.clock import SystemClock
from aetherflow.events.run_events import Notice
from aetherflow.testing import FakeRun
from tests.polling import eventually
from tests.sizes import LARGE, examples

ROWS = 200_000 if LARGE else 50_000
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT "
"""Runs until it is interrupted: `count(*) FROM n` before its first row, `x FROM n` while it gives rows."""


class OtherConnector(Connector):
    """A connector that is no database."""

    @classmethod
    async def open(cls, resource: Resource) -> OtherConnector:
        raise NotImplementedError(resource.name)

    async def aclose(self) -> None:
        """Nothing is open."""


class Run(FakeRun):
    """A run in a folder of the test's, with one resource `shop` on one SQLite file."""

    def __init__(self, root: Path, connector: Connector) -> None:
        super().__init__(root, clock=SystemClock(), connectors={"shop": connector, "mail": OtherConnector()})

    @property
    def artifacts(self) -> Path:
        return self.context().artifacts

    async def extract(
        self, sql: str, output: str = "out.tsv", job_id: str = "job", **more: Any
    ) -> DbExtractOutput:
        inputs = {"resource": "shop", "sql": sql, "output": output, **more}
        converted = msgspec.convert(inputs, db_extract.input_type, strict=False)
        result = await db_extract.run(self.context(job_id=job_id), converted)
        assert isinstance(result, DbExtractOutput)
        return result


Opener = Callable[[], AbstractAsyncContextManager[Run]]


@pytest.fixture(params=["sqlite3", "sqlalchemy"])
def a_run(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Give what opens a run; each test that takes it runs over both connectors."""
    file = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item, price)")
    connection.executemany(
        "INSERT INTO orders VALUES (?, ?, ?)", [(1, "pen", 1.5), (2, None, None), (3, 'a\t"b"', 2)]
    )
    connection.close()
    connector_class: type[Connector] = Sqlite3Connector
    config, options = {"path": str(file)}, {}
    if request.param == "sqlalchemy":
        connector_class = SqlAlchemyConnector
        config, options = {"url": f"sqlite:///{file}"}, {"pool_size": 2, "max_overflow": 0}

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        connector = await connector_class.open(Resource("shop", "db", request.param, config, options))
        try:
            yield Run(tmp_path, connector)
        finally:
            await connector.aclose()

    return opened


def text_of(result: DbExtractOutput) -> str:
    return Path(result.output).read_text(encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.asyncio
async def test_rows_become_a_tsv_file_with_a_header(a_run: Opener) -> None:
    async with a_run() as run:
        result = await run.extract("SELECT * FROM orders ORDER BY id", "deep/out.tsv")
        path = run.artifacts / "deep" / "out.tsv"
        assert result == DbExtractOutput(output=str(path), format="tsv", rows=3)
        assert path.is_absolute()
        assert path.read_bytes() == b'id\titem\tprice\n1\tpen\t1.5\n2\t\t\n3\t"a\t""b"""\t2\n'


@pytest.mark.asyncio
async def test_rows_become_a_jsonl_file(a_run: Opener) -> None:
    async with a_run() as run:
        result = await run.extract("SELECT * FROM orders ORDER BY id", "out.jsonl", format="jsonl")
        assert (result.format, result.rows) == ("jsonl", 3)
        assert [json.loads(line) for line in text_of(result).splitlines()] == [
            {"id": 1, "item": "pen", "price": 1.5},
            {"id": 2, "item": None, "price": None},
            {"id": 3, "item": 'a\t"b"', "price": 2},
        ]


@pytest.mark.asyncio
async def test_no_rows_are_a_success_with_the_header_only(a_run: Opener) -> None:
    async with a_run() as run:
        result = await run.extract("SELECT id, item FROM orders WHERE id > :least", params={"least": 10})
        assert result.rows == 0
        assert text_of(result) == "id\titem\n"


@pytest.mark.asyncio
async def test_parameters_are_bound_and_never_part_of_the_sql(a_run: Opener) -> None:
    async with a_run() as run:
        evil = "pen' OR 1=1; DROP TABLE orders; --"
        assert (await run.extract("SELECT * FROM orders WHERE item = :item", params={"item": evil})).rows == 0
        assert (
            await run.extract("SELECT * FROM orders WHERE item = :item", params={"item": "pen"})
        ).rows == 1


@pytest.mark.asyncio
async def test_a_failed_statement_leaves_the_old_file_and_no_other(a_run: Opener) -> None:
    async with a_run() as run:
        await run.extract("SELECT 1 AS x")
        said = r"resource 'shop': no such table: does_not_exist \(line 1, column 15\)\n"
        with pytest.raises(StepError, match=said) as caught:
            await run.extract("SELECT * FROM does_not_exist")
        assert caught.value.code == "AF740"
        with pytest.raises(StepError, match="integer overflow"):
            await run.extract(
                f"{ENDLESS} CASE x WHEN 2500 THEN abs(-9223372036854775807 - 1) ELSE x END FROM n"
            )
        assert names(run.artifacts) == ["out.tsv"]
        assert (run.artifacts / "out.tsv").read_text() == "x\n1\n"


@pytest.mark.asyncio
async def test_what_is_in_the_place_of_the_output_stays(a_run: Opener) -> None:
    async with a_run() as run:
        (run.artifacts / "folder").mkdir()
        (run.artifacts / "folder" / "precious").write_text("precious")
        for output, why in (
            ("folder", "folder: Is a directory"),
            ("folder/precious/x", "precious: File exists"),
        ):
            with pytest.raises(StepError, match=why) as caught:
                await run.extract("SELECT 1", output)
            assert caught.value.code == "AF735"
        assert (run.artifacts / "folder" / "precious").read_text() == "precious"
        assert names(run.artifacts) == ["folder"]


@pytest.mark.asyncio
async def test_a_statement_without_rows_is_refused_and_makes_no_file(a_run: Opener) -> None:
    async with a_run() as run:
        with pytest.raises(StepError, match=r"only reads|returns no rows") as caught:
            await run.extract("INSERT INTO orders (item) VALUES ('new')")
        assert caught.value.code == "AF742"
        assert names(run.artifacts) == []
        assert (await run.extract("SELECT * FROM orders")).rows == 3


@pytest.mark.asyncio
async def test_columns_of_one_name_are_refused_in_jsonl(a_run: Opener) -> None:
    async with a_run() as run:
        with pytest.raises(StepError, match=r"same name, which JSON cannot hold: id$"):
            await run.extract("SELECT id, item, id FROM orders", format="jsonl")
        assert names(run.artifacts) == []


@pytest.mark.asyncio
async def test_an_output_that_leaves_the_artifacts_is_refused_before_the_database_is_asked(
    a_run: Opener,
) -> None:
    async with a_run() as run:
        with pytest.raises(StepError) as caught:
            await run.extract("SELECT * FROM does_not_exist", "../../out.tsv")
        assert caught.value.code == "AF720"


@pytest.mark.asyncio
async def test_a_resource_that_is_no_database_is_refused(a_run: Opener) -> None:
    async with a_run() as run:
        with pytest.raises(StepError, match="resource 'mail' is no database") as caught:
            await run.extract("SELECT 1", resource="mail")
        assert caught.value.code == "AF743"


@pytest.mark.parametrize(("given", "expected"), [("TSV", "tsv"), (None, "tsv"), ("JSONL", "jsonl")])
@pytest.mark.asyncio
async def test_the_old_spellings_of_the_format_are_understood(
    a_run: Opener, given: str | None, expected: str
) -> None:
    async with a_run() as run:
        assert (await run.extract("SELECT 1 AS x", format=given)).format == expected


@pytest.mark.parametrize(
    "wrong", [{"format": "xml"}, {"sql": ""}, {"output": ""}, {"params": "day"}, {"file": {}}], ids=repr
)
def test_wrong_inputs_do_not_fit_the_step(wrong: dict[str, Any]) -> None:
    inputs = {"resource": "shop", "sql": "SELECT 1", "output": "out.tsv"}
    assert msgspec.convert(inputs, DbExtractInput).params is None
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**inputs, **wrong}, DbExtractInput, strict=False)


def test_the_step_is_registered_with_its_types() -> None:
    assert (db_extract.name, db_extract.input_type, db_extract.output_type, db_extract.is_async) == (
        "db_extract",
        DbExtractInput,
        DbExtractOutput,
        True,
    )


@pytest.mark.asyncio
async def test_many_jobs_read_through_one_connector_at_once(a_run: Opener) -> None:
    """More of them than the pool has connections: they wait their turn."""
    async with a_run() as run:
        counts: dict[str, int] = {}

        async def one(job_id: str, rows: int) -> None:
            sql = f"{ENDLESS} x FROM n LIMIT {rows}"
            counts[job_id] = (await run.extract(sql, job_id=job_id)).rows

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, f"job{number}", 1000 + number)
        assert counts == {f"job{number}": 1000 + number for number in range(10)}


@pytest.mark.asyncio
@pytest.mark.parametrize("file_format", ["tsv", "jsonl"])
async def test_very_many_rows_take_no_more_memory_than_a_few(a_run: Opener, file_format: str) -> None:
    async with a_run() as run:
        sql = f"{ENDLESS} x, 'some text of a usual length ' || x AS item, x * 0.5 AS price FROM n LIMIT"
        await run.extract(f"{sql} {ROWS // 10}", format=file_format)  # imports are not counted
        tracemalloc.start()
        try:
            result = await run.extract(f"{sql} {ROWS}", format=file_format)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert result.rows == ROWS
        assert text_of(result).count("\n") == ROWS + (file_format == "tsv")
        assert peak < 100 * ROWS, (
            "a row that is kept takes twice as much: two numbers, a text and their tuple"
        )


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0, 0.01, 0.2])
async def test_a_query_cancelled_before_its_first_row_ends_at_once(a_run: Opener, seconds: float) -> None:
    """The query never ends by itself, so the wait only chooses the moment, it cannot miss one."""
    async with a_run() as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.extract, f"{ENDLESS} count(*) FROM n")
            await anyio.sleep(seconds)
            cancelled_at = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - cancelled_at < 10
        assert names(run.artifacts) == []
        assert run.logged == []  # no thread was left behind
        assert (await run.extract("SELECT * FROM orders")).rows == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("file_format", ["tsv", "jsonl"])
async def test_a_query_cancelled_while_it_writes_leaves_no_file(a_run: Opener, file_format: str) -> None:
    async with a_run() as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run.extract, f"{ENDLESS} x FROM n", format=file_format))
            assert await eventually(lambda: names(run.artifacts) != [])
            assert names(run.artifacts)[0].endswith(".part")
            cancelled_at = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - cancelled_at < 10
        assert names(run.artifacts) == []
        assert run.logged == []


@pytest.mark.asyncio
async def test_a_driver_that_cannot_be_interrupted_stops_between_two_batches(
    a_run: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StopSwitch, "__call__", lambda _: None)
    async with a_run() as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.extract, f"{ENDLESS} x FROM n")
            assert await eventually(lambda: names(run.artifacts) != [])
            cancelled_at = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - cancelled_at < 10
        assert names(run.artifacts) == []
        assert run.logged == []


@pytest.mark.asyncio
async def test_queries_that_wait_for_a_connection_are_cancelled_too(a_run: Opener) -> None:
    async with a_run() as run:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(run.extract, f"{ENDLESS} count(*) FROM n", "out.tsv", f"job{number}")
            await anyio.sleep(0.1)
            cancelled_at = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - cancelled_at < 10
        assert run.logged == []


class SlowToConnect(Sqlite3Connector):
    """Connects only after the first attempt to interrupt, which therefore comes too early."""

    pressed = threading.Event()
    connecting = threading.Event()

    def _connect(self) -> sqlite3.Connection:
        self.connecting.set()
        assert self.pressed.wait(30)
        return super()._connect()


@pytest.mark.asyncio
async def test_an_interrupt_that_comes_before_the_statement_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = StopSwitch.__call__

    def press_and_tell(switch: StopSwitch) -> None:
        press(switch)
        SlowToConnect.pressed.set()

    monkeypatch.setattr(StopSwitch, "__call__", press_and_tell)
    connector = await SlowToConnect.open(Resource("shop", "db", "sqlite3", {"path": ":memory:"}))
    run = Run(tmp_path, connector)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.extract, f"{ENDLESS} count(*) FROM n")
        assert await anyio.to_thread.run_sync(SlowToConnect.connecting.wait, 30)
        cancelled_at = time.monotonic()
        tasks.cancel_scope.cancel()
    await connector.aclose()
    assert time.monotonic() - cancelled_at < 10
    assert run.logged == []


class Reluctant(Sqlite3Connector):
    """A database whose first interrupt fails, as over a broken network; the second one works."""

    def __init__(self) -> None:
        super().__init__(Resource("shop", "db", "sqlite3"), ":memory:", Sqlite3Options())
        self.asked = 0
        self.running = threading.Event()
        self.interrupted = threading.Event()

    def interrupt(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise OSError("network is unreachable")
        self.interrupted.set()

    @contextmanager
    def table(self, query: Query, fetch_size: int, switch: StopSwitch, wanted: Wanted) -> Iterator[Rows]:
        with switch.armed(self.interrupt):
            self.running.set()
            if self.interrupted.wait(30):
                raise StepError(f"{query.sql} was interrupted before {fetch_size} rows for {wanted}")
            yield Rows((), iter(()))


@pytest.mark.asyncio
async def test_an_interrupt_that_fails_is_reported_and_tried_again(tmp_path: Path) -> None:
    connector = Reluctant()
    run = Run(tmp_path, connector)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.extract, "SELECT 1")
        assert await anyio.to_thread.run_sync(connector.running.wait, 30)
        tasks.cancel_scope.cancel()
    assert connector.asked >= 2
    [notice] = run.of(Notice)
    assert (notice.level, notice.message) == (
        "warning",
        "the call could not be interrupted: network is unreachable",
    )


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.none()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        min_size=1,
        max_size=5,
    )
)
def test_values_go_through_the_database_and_both_formats_unchanged(a_run: Opener, values: list[Any]) -> None:
    columns = ", ".join(f":v{number} AS c{number}" for number in range(len(values)))
    params = {f"v{number}": value for number, value in enumerate(values)}

    async def extract_both() -> tuple[DbExtractOutput, DbExtractOutput]:
        async with a_run() as run:
            tsv = await run.extract(f"SELECT {columns}", "out.tsv", params=params)
            return tsv, await run.extract(f"SELECT {columns}", "out.jsonl", params=params, format="jsonl")

    tsv, jsonl = anyio.run(extract_both)
    assert list(json.loads(Path(jsonl.output).read_bytes()).values()) == values
    with Path(tsv.output).open(encoding="utf-8", newline="") as file:
        _, row = csv.reader(file, delimiter="\t", strict=True)
    assert row == ["" if value is None else str(value) for value in values]
