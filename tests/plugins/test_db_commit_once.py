"""What a retry or a resumed run does after a process died round the commit of db_load and db_execute."""

from __future__ import annotations

from typing import Any

import anyio
import psycopg
import pytest
from aetherflow_db.commit_once import COMMIT, CommitLost
from aetherflow_db.execute import DbExecuteOutput, db_execute
from aetherflow_db.load import DbLoadOutput, db_load

from aetherflow import StepError
from aetherflow.ports import EffectState
from tests.plugins.db_run import DbRun, Open, opener
from tests.servers.postgres import Postgres

a_run = opener()
one_run = opener(["sqlite3"])
postgres_run = opener(["postgres"])

KEY = ("job", "step", COMMIT)
TABLE = "CREATE TABLE t (id INTEGER, item VARCHAR(20))"
INSERT = "INSERT INTO t VALUES (1, 'pen')"


class KilledError(Exception):
    """Stands for the death of the process."""


def kill_before_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die when the database has committed and the journal does not know it yet."""

    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    monkeypatch.setattr("aetherflow.sdk.effects.Effect._confirm", die)


def kill_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die when the intent is stored and the database has not committed."""

    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    monkeypatch.setattr("aetherflow_db.transaction.Transaction.commit", die)


async def load(run: DbRun, **inputs: Any) -> DbLoadOutput:
    path = run.folder / "t.csv"
    path.write_text("id,item\n1,pen\n2,ink\n")
    result = await run.step(db_load, table="t", source_path=str(path), **inputs)
    assert isinstance(result, DbLoadOutput)
    return result


async def load_when_ended(run: DbRun, **inputs: Any) -> DbLoadOutput:
    """Load as soon as the server has ended the transaction of an earlier attempt, whose client is gone."""
    with anyio.fail_after(60):
        while True:
            try:
                return await load(run, **inputs)
            except StepError as error:
                if error.code != "AF916":
                    raise
                await anyio.sleep(0.05)


async def count(run: DbRun) -> Any:
    return (await run.rows("SELECT count(*) FROM t"))[0][0]


@pytest.mark.asyncio
async def test_what_was_confirmed_is_not_repeated(one_run: Open) -> None:
    async with one_run() as run:
        await run.execute(TABLE)
        first = await load(run)
        assert await load(run) == first
        assert await count(run) == 2
        assert any("it is not repeated" in line for line in run.logged)


@pytest.mark.parametrize("receipts", [None, "receipts"])
@pytest.mark.asyncio
async def test_a_commit_that_was_not_confirmed_is_recognised(
    a_run: Open, monkeypatch: pytest.MonkeyPatch, receipts: str | None
) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        is_recognised = receipts is not None or run.database == "postgres"
        more: dict[str, Any] = {} if receipts is None else {"receipts_table": receipts}

        async def insert() -> Any:
            return await run.step(db_execute, sql=INSERT, **more)

        async def append() -> Any:
            return await load(run, **more)

        for attempt, expected in ((insert, DbExecuteOutput(1, 1)), (append, DbLoadOutput(2, 2, 0, 0))):
            run.effects.clear()
            await run.execute("DELETE FROM t")
            with monkeypatch.context() as patched:
                kill_before_confirmation(patched)
                with pytest.raises(KilledError):
                    await attempt()
            assert not run.effects[KEY].is_confirmed
            written = await count(run)
            result = await attempt()
            assert result == expected
            assert await count(run) == (written if is_recognised else 2 * written)
            assert run.effects[KEY].is_confirmed


@pytest.mark.parametrize("receipts", [None, "receipts"])
@pytest.mark.asyncio
async def test_a_commit_that_did_not_happen_is_repeated(
    a_run: Open, monkeypatch: pytest.MonkeyPatch, receipts: str | None
) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        more = {} if receipts is None else {"receipts_table": receipts}
        with monkeypatch.context() as patched:
            kill_before_commit(patched)
            with pytest.raises(KilledError):
                await load(run, **more)
        assert await count(run) == 0
        assert (await load_when_ended(run, **more)).row_count == 2
        assert await count(run) == 2


@pytest.mark.asyncio
async def test_replace_and_upsert_are_repeated_without_a_warning(
    one_run: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_run() as run:
        await run.execute(TABLE)
        for inputs in ({"mode": "replace"}, {"mode": "upsert", "key": "id"}):
            run.effects.clear()
            with monkeypatch.context() as patched:
                kill_before_confirmation(patched)
                with pytest.raises(KilledError):
                    await load(run, **inputs)
            await load(run, **inputs)
            assert await count(run) == 2
        assert not any("may have committed" in line for line in run.logged)


@pytest.mark.asyncio
async def test_an_append_that_nobody_can_verify_is_repeated_with_a_warning(
    one_run: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_run() as run:
        await run.execute(TABLE)
        with monkeypatch.context() as patched:
            kill_before_confirmation(patched)
            with pytest.raises(KilledError):
                await load(run)
        await load(run)
        assert any("may have committed this, which cannot be verified" in line for line in run.logged)


@pytest.mark.asyncio
async def test_a_transaction_that_still_runs_is_waited_for_by_a_retry(
    postgres_run: Open, postgres_server: Postgres
) -> None:
    async with postgres_run() as run:
        await run.execute(TABLE)
        with psycopg.connect(postgres_server.url(scheme="postgresql")) as other:
            number = other.execute("SELECT txid_current()").fetchone()
            assert number is not None
            run.effects[KEY] = EffectState(
                {
                    "result": {"row_count": 0, "inserted": 0, "updated": 0, "deleted": 0},
                    "transaction": number[0],
                }
            )
            with pytest.raises(StepError, match="still runs") as caught:
                await load(run)
            assert (caught.value.code, caught.value.kind) == ("AF916", "connection")
            other.rollback()
        assert (await load(run)).row_count == 2


@pytest.mark.asyncio
async def test_a_lost_answer_is_final_where_the_flow_forbids_to_repeat(
    one_run: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> None:
        raise StepError("the answer is lost", kind="connection")

    async with one_run() as run:
        await run.execute(TABLE)
        monkeypatch.setattr("aetherflow_db.transaction.Transaction.commit", lose)
        run.on_interrupt = "fail"
        with pytest.raises(CommitLost) as caught:
            await load(run)
        assert caught.value.code == "AF928"
        assert caught.value.info().is_final
        run.on_interrupt = "rerun"
        with pytest.raises(CommitLost) as caught:
            await load(run)
        assert not caught.value.info().is_final
