"""Every promise on steps, kept in this process, on threads reached by JSON only, and on a Dask cluster.

The cluster has two worker processes, and is shared by the whole module.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio

from aetherflow import Dataset
from aetherflow.events import run_events as e
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.output_files import LARGE_BYTES
from aetherflow.sdk.executor import OpenExecutor
from tests.execution.conformance.bench import TRACEPARENT, Bench, Kind
from tests.execution.live_run import LiveRun, flow, one_step, query
from tests.polling import eventually
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS: list[Kind] = ["local", "thread", "dask"]
CANARY = "canary-12345"
SECONDS = 60


class Cluster:
    """Opens a cluster when a test needs it, in a task of its own, and closes it at the end."""

    def __init__(self) -> None:
        self._enough = anyio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._there: asyncio.Future[OpenExecutor] | None = None

    async def open(self) -> OpenExecutor:
        """Return the cluster, with both of its workers."""
        if self._there is None:
            self._there = asyncio.get_running_loop().create_future()
            self._keeping = asyncio.create_task(self._keep(self._there))
        return await self._there

    async def aclose(self) -> None:
        """End the cluster, if it was opened."""
        self._enough.set()
        if self._keeping is not None:
            await self._keeping

    async def _keep(self, there: asyncio.Future[OpenExecutor]) -> None:
        dask = pytest.importorskip("aetherflow_dask.executor")
        options = dask.DaskExecutor.options_type(workers=2, threads=4)
        try:
            async with dask.DaskExecutor().open(options, lambda *_: None) as opened:
                with anyio.fail_after(SECONDS):
                    while opened.slots < 8:  # noqa: ASYNC110 - nobody says when
                        await anyio.sleep(0.02)
                there.set_result(opened)
                await self._enough.wait()
        except BaseException as error:
            if there.done():
                raise
            there.set_exception(error)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.aclose()


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def bench(request: pytest.FixtureRequest, tmp_path: Path, cluster: Cluster) -> Bench:
    kind: Kind = request.param
    return Bench(kind, tmp_path, await cluster.open() if kind == "dask" else None)


def notices(run: LiveRun) -> list[tuple[str, str]]:
    """Return the level and text of what was said."""
    return [(one.level, one.message) for one in run.seen.of(e.Notice)]


def lines(run: LiveRun) -> list[tuple[str, str]]:
    """Return the lines of output, with their streams."""
    return [(one.stream, one.text) for one in run.seen.of(e.StepOutput)]


async def test_outputs_reach_the_next_step_as_plain_json(bench: Bench) -> None:
    text = flow(
        "{id: a, steps: [{id: s, type: c_give, inputs: {n: 1}, outputs: {rows: '{{result.rows}}'}},"
        " {id: t, type: c_take, inputs: {day: '{{steps.s.day}}', rows: '{{job.outputs.rows}}'}}]}"
    )
    async with bench.live(text, "c_give", "c_take") as run:
        assert (await run.run()).phase == "SUCCESS"
    assert run.step("a.s").outputs == {"day": "2026-01-02", "rows": [1, 2]}
    assert run.step("a.t").outputs["got"] == {"day": "2026-01-02", "rows": [1, 2]}


async def test_only_the_place_of_an_attempt_is_in_the_events_of_workers_alone(bench: Bench) -> None:
    async with bench.live(one_step("c_give", inputs="{n: 1}"), "c_give") as run:
        await run.run()
    kinds = [type(event).__name__ for event in run.seen.events]
    placed = [] if bench.kind == "local" else ["StepPlaced"]
    assert kinds == [
        "RunStarted",
        "JobStarted",
        "StepStarted",
        *placed,
        "StepFinished",
        "JobFinished",
        "RunFinished",
    ]


async def test_the_context_says_who_the_step_is(bench: Bench) -> None:
    text = one_step("c_who", inputs="{home2: '{{env.HOME}}'}", more="retry: {max_attempts: 2}")
    async with bench.live(text, "c_who") as run:
        await run.run()
    assert run.step("a.s").outputs == {
        "flow_id": "demo",
        "run_id": "run-1",
        "job_id": "a",
        "step_id": "s",
        "step_type": "c_who",
        "attempt": 2,
        "execution": 1,
        "key": "run-1/a/s",
        "home": "/nowhere",
        "home2": "/nowhere",
    }


async def test_a_step_that_found_nothing_to_do_is_skipped_with_its_reason(bench: Bench) -> None:
    async with bench.live(one_step("c_idle"), "c_idle") as run:
        assert (await run.run()).phase == "SUCCESS"
    found = run.step("a.s")
    assert (found.status, found.reason, found.outputs) == ("SKIPPED", "no rows", {"rows": 0})


async def test_a_failure_keeps_its_code_kind_hint_and_detail_and_is_tried_again(bench: Bench) -> None:
    text = one_step("c_fail", inputs="{how: step}", more="retry: {max_attempts: 2, retry_on: [connection]}")
    async with bench.live(text, "c_fail") as run:
        assert (await run.run()).phase == "FAILED"
    error = run.step("a.s").error
    assert (error.message, error.kind, error.code) == ("no host", "connection", "AF799")
    assert (error.hint, error.detail, run.step("a.s").attempt) == ("look", {"port": 1}, 2)


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("value", "AF701", "ValueError: broken"),
        ("exit", "AF701", "the step called sys.exit(3)"),
        ("panic", "AF701", "BaseException: a panic"),
        ("junk", "AF705", "the step type c_fail returned list"),
    ],
)
async def test_whatever_the_code_of_a_step_does_fails_that_step_only(
    bench: Bench, how: str, code: str, message: str
) -> None:
    async with bench.live(one_step("c_fail", inputs=f"{{how: {how}}}"), "c_fail") as run:
        assert (await run.run()).phase == "FAILED"
    error = run.step("a.s").error
    assert (error.code, error.message) == (code, message)


async def test_what_a_step_says_is_shown_in_order_and_in_its_name(bench: Bench) -> None:
    async with bench.live(one_step("c_talk"), "c_talk") as run:
        await run.run()
    said = [event for event in run.seen.events if isinstance(event, e.Notice | e.StepOutput | e.StepProgress)]
    assert [
        (one.level, one.message)
        if isinstance(one, e.Notice)
        else (one.done, one.note)
        if isinstance(one, e.StepProgress)
        else (one.stream, one.text, one.more_bytes, one.is_unfinished)
        for one in said
    ] == [
        ("info", "one"),
        ("warning", "two"),
        ("stdout", "out", 0, False),
        ("stderr", "err", 7, False),
        ("stdout", "50 %", 0, True),
        (1, "a.csv"),
        (3, ""),
    ]
    assert {(one.job_id, one.step_id, one.step_type, one.attempt) for one in said} == {
        ("a", "s", "c_talk", 1)
    }


async def test_what_plugin_code_prints_and_logs_is_output_of_its_step(bench: Bench) -> None:
    async with bench.live(one_step("c_print"), "c_print") as run:
        await run.run()
    seen = [text for _, text in lines(run)] + [text for _, text in notices(run)]
    for text in ("printed", "to stderr", "printed in a thread"):
        assert text in seen
    assert any("logged" in text for text in seen)
    log = bench.folder / "logs/run-1/a/s.1.log"
    assert "printed in a thread" in log.read_text()


async def test_secrets_are_masked_in_all_that_comes_back(bench: Bench) -> None:
    text = one_step(
        "c_leak",
        inputs="{password: hunter-22222}",
        more="retry: {max_attempts: 2}, outputs: {o: '{{result.own}}'}",
    )
    async with bench.live(text, "c_leak", secrets=[CANARY]) as run:
        assert (await run.run()).phase == "SUCCESS"
    everything = repr(run.seen.events) + repr(run.state)
    assert CANARY not in everything
    assert "hunter-22222" not in everything
    assert run.step("a.s").outputs == {"got": "***", "own": ["***"]}


@pytest.mark.parametrize("kind", ["c_wait", "c_wait_sync"])
async def test_a_time_limit_stops_the_step_and_its_progress_note_is_shown(bench: Bench, kind: str) -> None:
    clock = FakeClock()
    text = one_step(kind, inputs=f"{{trace: {bench.trace}}}", more="timeout_seconds: 10")
    async with bench.live(text, kind, clock=clock) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.Notice) and event.message == "begun")
        await clock.sleeping(1)
        clock.advance(10)
        await run.ended.wait()
    error = run.step("a.s").error
    assert (error.kind, error.code) == ("timeout", "AF710")
    assert error.message == "the step's timeout_seconds passed after 10 s: 3 of 9 files"
    assert bench.noted == ["stopped"]


@pytest.mark.parametrize("kind", ["c_wait", "c_wait_sync"])
async def test_a_cancelled_run_stops_the_step_before_it_ends(bench: Bench, kind: str) -> None:
    text = one_step(kind, inputs=f"{{trace: {bench.trace}}}")
    async with bench.live(text, kind) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.Notice) and event.message == "begun")
        run.executor.cancel("enough")
        await run.ended.wait()
        assert bench.noted == ["stopped"]
    assert (run.state.phase, run.step("a.s").status) == ("CANCELLED", "CANCELLED")


async def test_a_large_output_is_a_file_and_the_next_step_sees_its_value(bench: Bench) -> None:
    size = LARGE_BYTES + 1
    text = flow(
        f"{{id: a, steps: [{{id: s, type: c_big, inputs: {{size: {size}}}}},"
        " {id: t, type: c_take, inputs: {big: '{{steps.s.big}}'}, outputs: {size: '{{result.size}}'}}]}"
    )
    async with bench.live(text, "c_big", "c_take") as run:
        assert (await run.run()).phase == "SUCCESS"
    assert run.step("a.s").outputs["big"].keys() == {"$file", "bytes"}
    assert run.step("a.t").outputs["size"] > size


async def test_files_get_their_names_when_they_are_whole(bench: Bench) -> None:
    text = one_step("c_write", inputs="{good: 2}", more="retry: {max_attempts: 2}")
    async with bench.live(text, "c_write") as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.StepRetrying))
        await run.ended.wait()
    assert run.state.phase == "SUCCESS"
    job = bench.folder / "work/demo/a/run-1"
    assert sorted(path.name for path in (job / "artifacts").iterdir()) == ["cut.txt", "whole.txt"]
    assert (job / "artifacts/whole.txt").read_text() == "attempt 2"
    assert (job / "artifacts/cut.txt").read_text() == "half"
    assert run.step("a.s").outputs["path"] == str(job / "artifacts/whole.txt")


async def test_a_file_that_failed_in_the_middle_is_not_there(bench: Bench) -> None:
    async with bench.live(one_step("c_write", inputs="{good: 9}"), "c_write") as run:
        assert (await run.run()).phase == "FAILED"
    artifacts = bench.folder / "work/demo/a/run-1/artifacts"
    assert [path.name for path in artifacts.iterdir()] == ["whole.txt"]


@pytest.mark.parametrize("path", ["../../../x.txt", "a/../../../x.txt"])
async def test_a_path_that_leaves_the_folder_of_the_job_is_refused(bench: Bench, path: str) -> None:
    async with bench.live(one_step("c_escape", inputs=f"{{path: '{path}'}}"), "c_escape") as run:
        assert (await run.run()).phase == "FAILED"
    assert run.step("a.s").error.code == "AF720"
    assert not list(bench.folder.rglob("x.txt"))


async def test_an_effect_is_made_once_and_known_to_the_next_attempt(bench: Bench) -> None:
    text = one_step("c_effect", inputs=f"{{trace: {bench.trace}}}", more="retry: {max_attempts: 2}")
    async with bench.live(text, "c_effect") as run:
        assert (await run.run()).phase == "SUCCESS"
    assert bench.noted == ["a", "b", "b"]
    assert run.step("a.s").outputs == {"earlier": {"upload a": True, "upload b": False}}
    kinds = [type(event).__name__ for event in run.seen.events if "Effect" in type(event).__name__]
    assert kinds == [
        *("EffectIntended", "EffectConfirmed", "EffectIntended"),
        *("EffectIntended", "EffectConfirmed"),
    ]


async def test_a_mark_is_read_and_moved_with_the_success_of_its_step(bench: Bench) -> None:
    for before in (None, "10.50"):
        async with bench.live(one_step("c_mark"), "c_mark", rerun=["a"] if before else []) as run:
            assert (await run.run()).phase == "SUCCESS"
        if before is None:
            assert run.step("a.s").outputs == {"before": None}
    assert query(bench.folder, "SELECT type, value FROM marks") == [("decimal", "10.50")]


async def test_a_lock_is_held_by_one_step_at_a_time(bench: Bench) -> None:
    jobs = [
        f"{{id: {name}, steps: [{{id: s, type: c_lock, inputs: {{trace: {bench.trace}}}}}]}}"
        for name in ("a", "b", "c")
    ]
    async with bench.live(flow(*jobs), "c_lock") as run:
        assert (await run.run()).phase == "SUCCESS"
    noted = bench.noted
    assert sorted(noted) == sorted(f"{name} {way}" for name in "abc" for way in ("in", "out"))
    assert all(noted[index].replace(" in", " out") == noted[index + 1] for index in range(0, len(noted), 2))
    assert run.seen.of(e.LockAwaited)
    assert {one.lock for one in run.seen.of(e.LockTaken)} == {"shelf"}


async def test_what_a_step_left_is_undone_if_its_attempt_does_not_count(bench: Bench) -> None:
    text = one_step("c_undo", inputs=f"{{trace: {bench.trace}}}", more="outputs: {o: '{{result.missing}}'}")
    async with bench.live(text, "c_undo") as run:
        assert (await run.run()).phase == "FAILED"
        assert await eventually(lambda: bench.noted == ["undone"])


@pytest.mark.parametrize(("fails", "noted"), [("false", []), ("true", ["undone"])])
async def test_what_a_step_left_is_undone_if_it_fails_itself_only(
    bench: Bench, fails: str, noted: list[str]
) -> None:
    text = one_step("c_undo", inputs=f"{{trace: {bench.trace}, fails: {fails}}}")
    async with bench.live(text, "c_undo") as run:
        await run.run()
    assert bench.noted == noted


async def test_lineage_is_in_the_event_that_ends_the_step(bench: Bench) -> None:
    async with bench.live(one_step("c_lineage"), "c_lineage") as run:
        await run.run()
    (ended,) = run.seen.of(e.StepFinished)
    assert list(ended.reads) == [Dataset("file", "/in.csv", rows=3)]
    assert list(ended.writes) == [Dataset("db", "t.orders")]


async def test_a_step_uses_the_connectors_of_its_flow(bench: Bench) -> None:
    async with bench.live(one_step("c_connect"), "c_connect") as run:
        assert (await run.run()).phase == "SUCCESS"
    assert run.step("a.s").outputs == {"known": [True, False]}
    assert bench.noted == ["open", "used", "close"]


async def test_a_step_continues_the_trace_of_its_run(bench: Bench) -> None:
    async with bench.live(one_step("c_trace"), "c_trace") as run:
        await run.run()
    variables = RunTrace("demo", "run-1", TRACEPARENT).variables("a", "s", 1)
    assert run.step("a.s").outputs == {"trace": dict(variables), "run_date": "2026-01-02"}
    assert "TRACEPARENT" in variables


PROGRAM = "echo out; echo err >&2; echo $TRACEPARENT; pwd; exit $1"


async def test_a_program_runs_with_its_output_log_and_exit_code(bench: Bench) -> None:
    command = f"['/bin/sh', -c, '{PROGRAM}', sh, '0']"
    text = one_step("external.process", inputs=f"{{command: {command}}}")
    async with bench.live(text, "external.process") as run:
        assert (await run.run()).phase == "SUCCESS"
    shown = lines(run)
    assert ("stdout", "out") in shown
    assert ("stderr", "err") in shown
    parent = RunTrace("demo", "run-1", TRACEPARENT).variables("a", "s", 1)["TRACEPARENT"]
    assert ("stdout", parent) in shown
    assert run.step("a.s").outputs["exit_code"] == 0
    log = (bench.folder / "logs/run-1/a/s.1.log").read_text()
    assert {"out", "err", parent} <= set(log.split())


async def test_a_program_that_fails_fails_its_step(bench: Bench) -> None:
    command = f"['/bin/sh', -c, '{PROGRAM}', sh, '4']"
    text = one_step("external.process", inputs=f"{{command: {command}}}")
    async with bench.live(text, "external.process") as run:
        assert (await run.run()).phase == "FAILED"
    error = run.step("a.s").error
    assert (error.kind, error.detail["exit_code"]) == ("exit_code", 4)


async def test_a_program_ends_with_its_cancelled_step(bench: Bench) -> None:
    script = f"echo $$ > {bench.folder}/pid; echo begun; exec sleep 1000"
    inputs = f"{{command: ['/bin/sh', -c, '{script}'], kill_grace_seconds: 5}}"
    text = one_step("external.process", inputs=inputs)
    async with bench.live(text, "external.process") as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.StepOutput) and event.text == "begun")
        run.executor.cancel("enough")
        await run.ended.wait()
    assert run.step("a.s").status == "CANCELLED"
    assert not lives(int((bench.folder / "pid").read_text()))


def lives(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


async def test_many_steps_at_once_end_each_with_its_own_result(bench: Bench) -> None:
    jobs = [f"{{id: j{n}, steps: [{{id: s, type: c_take, inputs: {{n: {n}}}}}]}}" for n in range(40)]
    async with bench.live(flow(*jobs), "c_take") as run:
        assert (await run.run()).phase == "SUCCESS"
    got: dict[str, Any] = {f"j{n}": run.step(f"j{n}.s").outputs["got"] for n in range(40)}
    assert got == {f"j{n}": {"n": n} for n in range(40)}
