"""The executor `dask` carries messages between the engine and real workers, and sees attempts lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import anyio
import anyio.lowlevel
import msgspec
import pytest
import pytest_asyncio
from aetherflow_dask import on_worker
from aetherflow_dask.connection import Connection
from aetherflow_dask.dask_tasks import resources_of
from aetherflow_dask.executor import DaskExecutor
from aetherflow_dask.options import DaskOptions

from aetherflow import AttemptLost, Needs, one_error
from aetherflow.events.run_events import ResultRefused, StepPlaced
from aetherflow.execution.shared_folders import check_shared_folders
from aetherflow.execution.worker_messages import Begin, End, Refuse, Request, Stop
from aetherflow.execution.worker_placement import WorkersOfRun, worker_placement
from aetherflow.runs.run_package import RunPackage, encoded
from aetherflow.steps.external_process import external_process
from tests.dask.attempts import SECONDS, Attempt, until
from tests.execution.live_run import live, one_step

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Connection]:
    """Two workers on this machine, kept by a task of its own: a fixture begins and ends in different ones."""
    options = DaskOptions(workers=2, threads=4, resources={"SFTP": 1}, labels=["here"], lost_after=5.0)
    there: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    enough = anyio.Event()

    async def keep() -> None:
        async with DaskExecutor().open(options, lambda *_: None) as opened:
            assert isinstance(opened, Connection)
            there.set_result(opened)
            await enough.wait()

    keeping = asyncio.create_task(keep())
    keeping.add_done_callback(lambda _: there.done() or there.cancel())
    await there
    await until(lambda: there.result().slots == 8)
    yield there.result()
    enough.set()
    await keeping


def _run_on(cluster: Connection, package: str) -> WorkersOfRun:
    return WorkersOfRun(
        executor=cluster,
        package_id=package,
        package_text=lambda: encoded(RunPackage(flow_id="demo", run_id="run-1")),
        needs_of=lambda _: Needs(),
        announce=lambda _: None,
        conceal=lambda call: call,
    )


async def test_workers_say_what_they_are_and_offer(cluster: Connection) -> None:
    first, second = await cluster.workers()

    assert {first.place.worker, second.place.worker} == {"worker-1", "worker-2"}
    assert (first.threads, first.resources, list(first.labels)) == (4, {"SFTP": 1.0}, ["here"])
    assert first.python == ".".join(map(str, sys.version_info[:3]))
    assert first.place.process_id not in (os.getpid(), second.place.process_id)


async def test_the_cluster_is_encrypted_and_its_clock_is_right(cluster: Connection) -> None:
    found = {one.subject: one.state for one in await cluster.check()}

    assert found["encryption"] == "ok"
    assert "latency" in found
    assert not {"clock", "Dask", "allowed-failures"} & found.keys()


async def test_workers_see_the_folders_of_a_run_or_it_is_said_which_do_not(
    cluster: Connection, tmp_path: Path
) -> None:
    (tmp_path / "flow.yaml").write_text("flow")

    await check_shared_folders("dask", cluster, tmp_path / "work", str(tmp_path / "flow.yaml"), "private")

    assert await cluster.ask(b"no question") == {}


@pytest.mark.parametrize("artifacts", ["shared", "ship"])
async def test_files_and_logs_of_a_step_on_a_worker_are_those_of_a_local_one(
    cluster: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: Literal["shared", "ship"]
) -> None:
    options = msgspec.structs.replace(cluster._options, artifacts=artifacts)
    monkeypatch.setattr(cluster, "_options", options)
    names = tmp_path / "work/demo/a/run-1/artifacts"
    names.mkdir(parents=True)
    content = os.urandom(1 << 20)
    (names / "in file").write_bytes(content)
    script = "cat 'in file' > out && seq 1 200000 && pwd > where"
    text = one_step("external.process", inputs=f'{{command: [sh, -c, "{script}", "in file"]}}')
    async with (
        worker_placement(_run_on(cluster, f"files of {artifacts}")) as placement,
        live(text, tmp_path, [external_process], placement=placement) as engine,
    ):
        state = await engine.run()

    assert state.phase == "SUCCESS"
    assert (names / "out").read_bytes() == content
    where = (names / "where").read_text().strip()
    assert (where == str(names)) == (artifacts == "shared")
    log = tmp_path / "logs/run-1/a/s.1.log"
    assert log.read_text() == "".join(f"{n}\n" for n in range(1, 200_001))
    assert sorted(path.name for path in names.parent.iterdir()) == ["artifacts"]


async def test_a_result_that_comes_late_is_in_the_history_of_the_run(
    cluster: Connection, tmp_path: Path
) -> None:
    mine = f"if mkdir {tmp_path}/one; then set -- first; else set -- second; fi"
    script = f"{mine}; until [ -e {tmp_path}/$1 ]; do sleep 0.05; done"
    text = one_step(
        "external.process",
        inputs=f'{{command: [sh, -c, "{script}"]}}',
        more="retry: {max_attempts: 2, retry_on: [lost]}",
    )
    async with (
        worker_placement(_run_on(cluster, "late")) as placement,
        live(text, tmp_path, [external_process], placement=placement) as engine,
        one_error() as tasks,
    ):
        tasks.start_soon(engine.run)
        await until((tmp_path / "one").exists)
        (carried,) = cluster._carried.values()
        carried.give_up(AttemptLost("it was cut off"))
        await until(lambda: len(engine.seen.of(StepPlaced)) == 2)
        (tmp_path / "first").touch()
        await until(lambda: bool(engine.seen.of(ResultRefused)))
        (tmp_path / "second").touch()

    assert engine.state.phase == "SUCCESS"
    lost, _ = engine.seen.of(StepPlaced)
    (refused,) = engine.seen.of(ResultRefused)
    assert (refused.attempt, refused.worker, refused.host) == (1, lost.worker, lost.host)
    assert refused.reason == "the attempt was given up: it was cut off"


async def test_many_attempts_at_once_end_each_once(cluster: Connection) -> None:
    attempts = [Attempt() for _ in range(50)]

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for attempt in attempts:
                tasks.start_soon(cluster.run, attempt)

    for attempt in attempts:
        assert [type(one) for one in attempt.said] == [Begin, Request, End]
        assert len(attempt.starts) == 1
        assert attempt.answer.answer.error is not None
        assert attempt.answer.answer.error.code == "TEST"
    client = cluster._client
    assert client is not None
    ask = client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.task_prefixes))  # type: ignore[no-untyped-call]  # of Dask
    prefixes = await ask
    assert prefixes == {"aetherflow"}, "Dask keeps what it knows of each prefix for ever"


async def test_a_worker_with_other_versions_is_turned_away_and_others_get_its_work(
    cluster: Connection,
) -> None:
    admission = cluster._admission
    first, second = cluster.presence.names
    await cluster.workers()
    assert set(admission.workers) == {first, second}
    admission.forget(first)
    admission.unfit[first] = "Python 3.7.1 instead of this one"
    attempts = [Attempt() for _ in range(10)]
    try:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for attempt in attempts:
                    tasks.start_soon(cluster.run, attempt)
    finally:
        admission.forget(first)

    places = {attempt.place.worker for attempt in attempts if attempt.place is not None}
    assert places == {cluster.presence.name_of(second)}
    assert {len(attempt.starts) for attempt in attempts} == {1}


async def test_a_worker_that_is_unknown_is_asked_before_it_gets_work(cluster: Connection) -> None:
    admission = cluster._admission
    for worker in cluster.presence.names:
        admission.forget(worker)
    attempts = [Attempt() for _ in range(8)]

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for attempt in attempts:
                tasks.start_soon(cluster.run, attempt)

    assert {attempt.answer.answer.error is not None for attempt in attempts} == {True}
    assert admission.workers
    assert not admission.unfit


async def test_a_message_that_is_larger_than_a_frame_arrives_whole(cluster: Connection) -> None:
    attempt = Attempt(package="x" * 5_000_000)

    with anyio.fail_after(SECONDS):
        await cluster.run(attempt)

    (asked,) = (one for one in attempt.said if isinstance(one, Request))
    assert asked.ask.package == attempt.package  # type: ignore[union-attr]


async def test_a_worker_that_cannot_take_messages_loses_the_attempts_they_are_for(
    cluster: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(waits=True)

    async def break_it() -> None:
        await attempt.asked.wait()
        with monkeypatch.context() as broken:
            broken.setattr(on_worker, "take", lambda _batch: 1 / 0)
            attempt.end()
            await lost.wait()
        attempt.end()  # the worker sees that a message is missing, and ends the attempt
        await attempt.over.wait()

    lost = anyio.Event()
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(break_it)
            with pytest.raises(AttemptLost):
                await cluster.run(attempt)
            lost.set()


async def test_an_attempt_goes_where_its_needs_are_met(cluster: Connection) -> None:
    assert resources_of(Needs({"SFTP": 1}, "here")) == {"SFTP": 1.0, "label here": 1.0}
    first, second, third = (Attempt(needs=Needs({"SFTP": 1}, "here"), waits=True) for _ in range(3))

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for attempt in (first, second, third):
                tasks.start_soon(cluster.run, attempt)
            await first.begun.wait()
            await second.begun.wait()
            assert first.place is not None
            assert second.place is not None
            assert first.place.worker != second.place.worker
            assert not third.begun.is_set()
            await first.asked.wait()
            await second.asked.wait()
            first.end()
            second.end()
            await third.asked.wait()
            third.end()


async def test_what_a_given_up_attempt_says_is_still_delivered(cluster: Connection) -> None:
    attempt = Attempt(waits=True)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.run, attempt)
            await attempt.asked.wait()
            assert await cluster.find([attempt.key, "another"]) == {attempt.key}
            tasks.cancel_scope.cancel()
        assert not attempt.over.is_set()
        attempt.reply(msgspec.json.encode(Stop()))
        await attempt.over.wait()
        assert attempt.answer.answer.result is None
        while await cluster.find([attempt.key]):
            await anyio.lowlevel.checkpoint()


async def test_an_attempt_that_a_worker_has_is_joined_by_another_engine(cluster: Connection) -> None:
    attempt = Attempt(waits=True)
    address = cluster._options.address
    options = DaskOptions(address=address, security=cluster._options.security, lost_after=5.0)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.run, attempt)
            await attempt.asked.wait()
            async with DaskExecutor().open(options, lambda *_: None) as other:
                joined = Attempt()
                joined.key = attempt.key
                assert await other.find([attempt.key, "another"]) == {attempt.key}
                await other.run(joined)
            assert joined.starts == attempt.starts
            assert isinstance(joined.said[0], Begin)
            assert joined.said[0].has_begun
            assert joined.answer
            tasks.cancel_scope.cancel()


async def test_a_second_start_of_an_attempt_can_be_refused(cluster: Connection) -> None:
    """As a scheduler may start a task twice, both starts reach the engine, which decides."""
    attempt = Attempt(waits=True)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.run, attempt)
            await attempt.asked.wait()
            refused: list[str] = []
            deliver = attempt.deliver

            def gate(start: str, message: bytes, reply: Callable[[bytes], None]) -> None:
                if start in attempt.starts:
                    deliver(start, message, reply)
                else:
                    refused.append(start)
                    reply(msgspec.json.encode(Refuse("another start has it")))

            attempt.deliver = gate  # type: ignore[method-assign]
            answer = attempt.reply
            client = cluster._client
            assert client is not None
            from aetherflow_dask import on_worker  # noqa: PLC0415 - beside what it is used for

            await client.submit(on_worker.run_attempt, attempt.key, cluster.topic, 5.0, pure=False)
            assert len(refused) == 1
            attempt.reply = answer
            attempt.end()


async def test_a_worker_that_dies_loses_its_attempts_and_is_started_again(cluster: Connection) -> None:
    attempt = Attempt(waits=True)

    with anyio.fail_after(SECONDS):
        async with one_error() as tasks:
            tasks.start_soon(_killed, attempt, signal.SIGKILL)
            with pytest.raises(AttemptLost, match=r"^the worker worker-\d has died or was cut off$") as lost:
                await cluster.run(attempt)
    assert (lost.value.code, lost.value.info().kind) == ("AF882", "lost")
    await until(lambda: cluster.slots == 8)
    await until(lambda: len(cluster.presence.names) == 2)  # the address of the dead one is forgotten
    assert cluster.presence.names.keys() >= set(cluster._outbox.workers)


async def test_a_worker_that_hangs_is_killed_and_its_attempts_are_lost(cluster: Connection) -> None:
    attempt = Attempt(waits=True)

    with anyio.fail_after(SECONDS):
        async with one_error() as tasks:
            tasks.start_soon(_killed, attempt, signal.SIGSTOP)
            with pytest.raises(AttemptLost, match=r"has died or was cut off|has been silent"):
                await cluster.run(attempt)
    assert attempt.place is not None
    with pytest.raises(ProcessLookupError):
        os.kill(attempt.place.process_id, 0)


async def _killed(attempt: Attempt, number: signal.Signals) -> None:
    await attempt.asked.wait()
    assert attempt.place is not None
    os.kill(attempt.place.process_id, number)
