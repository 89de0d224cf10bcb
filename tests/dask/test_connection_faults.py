"""What the executor `dask` cannot do is an error that says why: no cluster is shared here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_dask.connection import Connection
from aetherflow_dask.executor import DaskExecutor
from aetherflow_dask.options import DaskOptions
from distributed.scheduler import KilledWorker, NoValidWorkerError

from aetherflow import AttemptLost, ConfigError, ExecutorError, Needs, StepError, TlsFiles, WorkerRequest
from tests.dask.attempts import SECONDS, Attempt, until
from tests.dask.cluster import carrying
from tests.servers.ends_with_tests import ENDS_WITH_THE_TESTS

pytestmark = pytest.mark.asyncio


async def test_a_task_that_dask_cannot_run_fails_with_its_reason() -> None:
    found: list[StepError] = []

    async def run(connection: Connection, attempt: Attempt) -> None:
        try:
            await connection.run(attempt)
        except StepError as error:
            found.append(error)

    for error in (NoValidWorkerError("t", set(), set(), {}, 1.0), ModuleNotFoundError("aetherflow_dask")):
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                connection = Connection(DaskOptions(), tasks, lambda *_: None)
                attempt = Attempt(needs=Needs({"GPU": 2}, "far"))
                tasks.start_soon(run, connection, attempt)
                await asyncio.sleep(0)
                connection._dask._submitted["key"] = connection._carried[attempt.key]
                connection.done("key", error)

    assert [error.code for error in found] == ["AF811", "AF812"]
    assert "(GPU: 2, runs_on: far)" in found[0].message
    assert "ModuleNotFoundError: aetherflow_dask" in found[1].message


async def test_an_attempt_that_has_not_begun_is_given_to_another_worker_when_its_own_dies() -> None:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            connection = Connection(DaskOptions(), tasks, lambda *_: None)
            tasks.start_soon(connection.run, Attempt())
            await asyncio.sleep(0)
            (carried,) = connection._carried.values()
            dask = connection._dask
            assert dask._waiting == [carried]
            dask._waiting.clear()
            killed = KilledWorker("key", None, 0)  # type: ignore[arg-type]  # which worker does not matter
            dask._submitted["key"] = carried
            connection.done("key", killed)
            assert dask._waiting == [carried]
            carried.times = 10
            connection.done("key", killed)
            assert isinstance(carried.failure, AttemptLost)
            tasks.cancel_scope.cancel()


async def test_a_worker_without_the_plugin_is_named() -> None:
    class Client:
        scheduler: Any = None

        async def identity(self, n_workers: int) -> dict[str, Any]:
            return {"workers": ["tcp://a:1"]} if n_workers else {}

        async def run(self, *_: Any, **__: Any) -> dict[str, Exception]:
            return {"tcp://a:1": ModuleNotFoundError("No module named 'aetherflow_dask'")}

    async with anyio.create_task_group() as tasks:
        connection = Connection(DaskOptions(), tasks, lambda *_: None)
        client = connection._client = Client()  # type: ignore[assignment]
        client.scheduler = client
        with pytest.raises(StepError, match="the worker tcp://a:1 cannot run attempts: No module") as caught:
            await connection.workers()
    assert caught.value.code == "AF813"


async def test_a_scheduler_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(ExecutorError) as caught:
        async with DaskExecutor().open(DaskOptions(), lambda *_: None):
            pass
    assert caught.value.code == "AF815"


async def test_a_scheduler_that_does_not_answer_is_an_error() -> None:
    options = DaskOptions(address="tcp://127.0.0.1:1", connect_within=1.0)

    with pytest.raises(ExecutorError, match=r"the Dask cluster at tcp://127\.0\.0\.1:1 cannot") as caught:
        async with DaskExecutor().open(options, lambda *_: None):
            pass
    assert caught.value.code == "AF883"


async def test_certificates_that_cannot_be_read_are_named_at_once(tmp_path: Path) -> None:
    files = TlsFiles(str(tmp_path / "ca.pem"), str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))

    with pytest.raises(
        ConfigError, match=r"security\.ca of the executor dask cannot be read: .*/ca\.pem: No"
    ):
        async with DaskExecutor().open(
            DaskOptions(address="tls://127.0.0.1:1", security=files), lambda *_: None
        ):
            pass


@pytest.mark.parametrize("request_", [WorkerRequest(), WorkerRequest(address="tls://a:1")])
async def test_a_worker_that_cannot_be_started_says_why(request_: WorkerRequest) -> None:
    with pytest.raises(ConfigError) as caught:
        DaskExecutor().serve(request_, lambda *_: None)
    assert caught.value.code == "AF814"


HELD = """
import os, sys, anyio
from aetherflow.event_loop import run_loop
from aetherflow_dask.executor import DaskExecutor
from aetherflow_dask.options import DaskOptions

async def main():
    async with DaskExecutor().open(DaskOptions(workers=1), lambda *_: None) as opened:
        print(*[worker.place.process_id for worker in await opened.workers()], flush=True)
        await anyio.sleep_forever()

if __name__ == "__main__":
    run_loop(main)
"""


@pytest.mark.parametrize("stands_still", [False, True])
async def test_a_local_cluster_ends_with_an_engine_that_is_killed(
    tmp_path: Path, *, stands_still: bool
) -> None:
    mark = f"TEST_MARK_{uuid.uuid4().hex}"
    engine = subprocess.Popen(  # noqa: ASYNC220 - nothing else is to run meanwhile
        [*ENDS_WITH_THE_TESTS, sys.executable, "-c", HELD],
        stdout=subprocess.PIPE,
        env={**os.environ, mark: "x"},
        cwd=tmp_path,
    )
    with engine:
        assert engine.stdout is not None
        worker = int(engine.stdout.readline())
        there = carrying(mark, "x")
        assert {engine.pid, worker} <= there
        assert len(there) == 3
        if stands_still:
            os.kill(worker, signal.SIGSTOP)
        engine.kill()
    await until(lambda: not carrying(mark, "x"))
