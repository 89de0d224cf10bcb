"""`with_lock`: one at a time, across real processes, with the inner step's outcome as its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import StepError
from aetherflow.events.run_events import LockAwaited, LockTaken
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.steps.check_items import check_items
from aetherflow.steps.with_lock import with_lock
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import waits_of
from tests.execution.live_run import LiveRun, flow, live, one_step, query
from tests.polling import eventually, wait_until
from tests.warm_start import COMMAND, Popen

LOCKED = "{lock_key: k, step: {id: in, type: inner, inputs: {x: '{{flow_id}}'}}%s}"


async def locked(folder: Path, inner: Any, more: str = "") -> LiveRun:
    """Run a flow of one `with_lock` around a step."""
    types = [with_lock, step("inner")(inner)]
    async with live(one_step("with_lock", inputs=LOCKED % more), folder, types) as run:
        await run.run()
    return run


def held(folder: Path) -> list[Any]:
    """Return the locks that are held."""
    return query(folder, "SELECT lock_key, holder FROM locks")


@pytest.mark.asyncio
async def test_the_lock_is_held_while_the_inner_step_runs_and_its_outputs_are_ours(tmp_path: Path) -> None:
    async def inner(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"held": held(tmp_path), "id": context.step_id, **inputs}

    run = await locked(tmp_path, inner)
    assert run.step("a.s").outputs == {"held": [["k", "demo, run run-1, a.s"]], "id": "s.in", "x": "demo"}
    assert held(tmp_path) == []


@pytest.mark.asyncio
async def test_a_skipped_inner_step_is_our_outcome(tmp_path: Path) -> None:
    async def inner(context: StepContext, inputs: dict[str, Any]) -> StepResult:
        del context, inputs
        return Skipped("nothing new", {"n": 0})

    run = await locked(tmp_path, inner)
    assert (run.step("a.s").status, run.step("a.s").reason) == ("SKIPPED", "nothing new")
    assert run.step("a.s").outputs == {"n": 0}


@pytest.mark.asyncio
async def test_the_failure_of_the_inner_step_is_ours_and_the_lock_is_free_again(tmp_path: Path) -> None:
    def inner(context: StepContext, inputs: dict[str, Any]) -> None:
        raise StepError(f"{context.step_id}: no {inputs}", hint="look", code="AF799", kind="connection")

    run = await locked(tmp_path, inner)
    error = run.step("a.s").error
    assert (error.code, error.message, error.hint, error.kind) == (
        "AF799",
        "s.in: no {'x': 'demo'}",
        "look",
        "connection",
    )
    assert held(tmp_path) == []


@pytest.mark.asyncio
async def test_a_cancelled_inner_step_gives_the_lock_back(tmp_path: Path) -> None:
    began = anyio.Event()

    async def inner(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        began.set()
        await anyio.sleep_forever()

    types = [with_lock, step("inner")(inner)]
    async with (
        live(one_step("with_lock", inputs=LOCKED % ""), tmp_path, types) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        await began.wait()
        assert len(held(tmp_path)) == 1
        run.executor.cancel("enough")
    assert run.step("a.s").status == "CANCELLED"
    assert held(tmp_path) == []


@pytest.mark.asyncio
async def test_a_wait_for_a_lock_is_an_event_with_its_holder_and_its_end_is_one_too(tmp_path: Path) -> None:
    waiting = anyio.Event()

    async def inner(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await waiting.wait()

    inputs = LOCKED % ", wait_seconds: 30"
    text = flow(*(f"{{id: j{n}, steps: [{{id: s, type: with_lock, inputs: {inputs}}}]}}" for n in range(2)))
    async with (
        live(text, tmp_path, [with_lock, step("inner")(inner)]) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        assert await eventually(lambda: bool(run.seen.of(LockAwaited)))
        waiting.set()
    [awaited], [taken] = run.seen.of(LockAwaited), run.seen.of(LockTaken)
    assert (awaited.lock, awaited.wait_seconds, awaited.step_id) == ("k", 30, "s")
    other = {"j0": "j1", "j1": "j0"}[awaited.job_id]
    assert awaited.held_by == f"demo, run run-1, {other}.s"
    assert awaited.since <= timestamp(awaited.at)
    assert (taken.job_id, taken.lock) == (awaited.job_id, "k")
    assert taken.waited_seconds > 0
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as raw:
        [wait] = waits_of(raw, "run-1")
    assert (wait.lock, wait.held_by, wait.ended_at) == (
        "k",
        [f"{awaited.held_by} since {awaited.since}"],
        timestamp(taken.at),
    )


@pytest.mark.asyncio
async def test_the_jobs_of_one_run_exclude_each_other_too(tmp_path: Path) -> None:
    inside = peak = 0

    def both_began() -> bool:
        return not any(run.step(f"j{n}.s").status in ("PENDING", "READY") for n in range(2))

    async def inner(context: StepContext, inputs: dict[str, Any]) -> None:
        nonlocal inside, peak
        del context, inputs
        inside += 1
        peak = max(peak, inside)
        assert await eventually(both_began)
        inside -= 1

    inputs = LOCKED % ", wait_seconds: 30"
    text = flow(*(f"{{id: j{n}, steps: [{{id: s, type: with_lock, inputs: {inputs}}}]}}" for n in range(2)))
    async with live(text, tmp_path, [with_lock, step("inner")(inner)]) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert peak == 1


@pytest.mark.asyncio
async def test_a_lock_that_was_taken_away_ends_the_inner_step(tmp_path: Path) -> None:
    async def inner(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raw = sqlite3.connect(tmp_path / "state.sqlite")
        with raw:
            raw.execute("UPDATE leases SET generation = generation + 1 WHERE name = 'lock:k'")
        raw.close()
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        run = await locked(tmp_path, inner, ", ttl_seconds: 0.3")
    error = run.step("a.s").error
    assert (error.code, error.message) == (
        "AF621",
        "the lock 'k' was lost to another process while the step worked under it",
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("{lock_key: '', step: {type: check_items}}", "must not be empty - at `$.lock_key`"),
        (
            "{lock_key: k, ttl_seconds: 0, step: {type: check_items}}",
            "must be more than 0 - at `$.ttl_seconds`",
        ),
        (
            "{lock_key: k, ttl_seconds: .inf, step: {type: check_items}}",
            "must be at most 315360000 - at `$.ttl_seconds`",
        ),
        (
            "{lock_key: k, wait_seconds: -1, step: {type: check_items}}",
            "must be at least 0 - at `$.wait_seconds`",
        ),
        ("{lock_key: k, step: {id: x}}", "missing required field `type` - at `$.step`"),
        ("{lock_key: k}", "missing required field `step`"),
    ],
)
async def test_wrong_inputs_are_refused_before_the_lock_is_taken(
    tmp_path: Path, inputs: str, problem: str
) -> None:
    async with live(one_step("with_lock", inputs=inputs), tmp_path, [with_lock, check_items]) as run:
        await run.run()
    assert run.step("a.s").error.code == "AF706"
    assert problem in run.step("a.s").error.message
    assert query(tmp_path, "SELECT count(*) FROM leases WHERE name LIKE 'lock:%'") == [(0,)]


# ---- real processes


class LeaseHolder:
    """A real `aetherflow run` that holds the lock until it is let go."""

    def __init__(self, folder: Path, name: str, **lock: float) -> None:
        self.folder, self.name = folder, name
        options = "".join(f", {key}: {value}" for key, value in lock.items())
        wait = f"while [ ! -e {folder}/go ]; do sleep 0.02; done"
        script = f"echo {name} in >> {folder}/log; {wait}; echo {name} out >> {folder}/log"
        places = f"state: {{path: {folder}/state.sqlite}}, workspace: {{root: {folder}/work}}"
        inner = f"{{type: external.process, inputs: {{shell: true, command: '{script}'}}}}"
        flow_file = folder / f"{name}.yaml"
        flow_file.write_text(
            f"version: 1\nflow: {{id: {name}, {places}}}\njobs:\n  - id: j\n    steps:\n      - id: s\n"
            "        type: with_lock\n"
            f"        inputs: {{lock_key: shared{options}, step: {inner}}}\n"
        )
        self.process = Popen(
            [COMMAND, "run", flow_file, "--run-id", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(folder)},
        )

    @property
    def log(self) -> list[str]:
        """Return what the inner steps wrote so far."""
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def until_inside(self) -> None:
        """Wait until the inner step runs."""
        wait_until(lambda: f"{self.name} in" in self.log or self.process.poll() is not None)
        assert self.process.poll() is None

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was printed."""
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output


def test_two_processes_exclude_each_other_and_the_refused_one_says_who_and_since_when(tmp_path: Path) -> None:
    first = LeaseHolder(tmp_path, "first")
    first.until_inside()
    second = LeaseHolder(tmp_path, "second")
    code, output = second.end()
    since = query(tmp_path, "SELECT acquired_at FROM locks")[0][0]
    assert code == 75, output
    assert (
        "the lock 'shared' is held by first, run first, j.s "
        f"(process {first.process.pid} on {os.uname().nodename}) since {since}"
    ) in output
    (tmp_path / "go").touch()
    assert first.end()[0] == 0
    assert first.log == ["first in", "first out"]
    assert query(tmp_path, "SELECT run_id, status FROM runs ORDER BY 1") == [
        ("first", "SUCCESS"),
        ("second", "FAILED"),
    ]


def test_a_process_that_waits_for_the_lock_gets_it_when_the_other_one_ends(tmp_path: Path) -> None:
    first = LeaseHolder(tmp_path, "first")
    first.until_inside()
    second = LeaseHolder(tmp_path, "second", wait_seconds=20)
    (tmp_path / "go").touch()
    assert (first.end()[0], second.end()[0]) == (0, 0)
    assert first.log == ["first in", "first out", "second in", "second out"]


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    first = LeaseHolder(tmp_path, "first")
    first.until_inside()
    first.process.send_signal(signal.SIGKILL)
    first.process.communicate(timeout=20)
    (tmp_path / "go").touch()
    second = LeaseHolder(tmp_path, "second")
    assert second.end()[0] == 0
    assert second.log[-2:] == ["second in", "second out"]
