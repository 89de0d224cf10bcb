"""High-water marks: from where an attempt starts, and when the mark moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import Mark, StepContext, StepError, StepResult, step
from aetherflow.engine.state import RunState
from aetherflow.steps.with_lock import with_lock
from aetherflow.store.marks import set_mark
from aetherflow.testing import FakeRun, run_step
from tests.cli.command_line import CommandLine
from tests.execution.live_run import flow, live, one_step, query
from tests.store.real_parts import T0

pytestmark = pytest.mark.asyncio


class Table:
    """A table that grows, and a step that reads the rows above its mark."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.seen: list[int] = []
        self.before_end: Callable[[StepContext], None] = lambda _context: None

    @property
    def read(self) -> Callable[..., Any]:
        """The function of the step."""

        async def read(context: StepContext, inputs: dict[str, Any]) -> StepResult:
            name = inputs.get("mark", "orders")
            mark = await context.mark(name)
            self.seen.append(0 if mark is None else int(mark.text))
            self.before_end(context)
            return StepResult(outputs={"from": self.seen[-1]}, marks={name: Mark.of(self.newest)})

        return read


def marks(folder: Path) -> list[tuple[Any, ...]]:
    """Return the stored marks: name, type, value and how often people have set them."""
    return query(folder, "SELECT name, type, value, set_count FROM marks ORDER BY name")


async def run_once(table: Table, folder: Path, text: str = "") -> RunState:
    async with live(text or one_step("read"), folder, {"read": table.read}) as run:
        return await run.run()


async def test_the_mark_of_a_step_is_stored_with_its_success(tmp_path: Path) -> None:
    table = Table(200)
    await run_once(table, tmp_path)

    assert marks(tmp_path) == [("orders", "int", "200", 0)]
    (payload,) = query(tmp_path, "SELECT payload ->> 'marks' FROM events WHERE event = 'step_finished'")
    assert payload == ('{"orders":{"after":{"type":"int","text":"200"}}}',)
    assert query(tmp_path, "SELECT run_id, job_id, step_id, set_by FROM marks") == [("run-1", "a", "s", "")]


async def test_a_failed_attempt_moves_nothing_and_its_retry_starts_at_the_same_mark(tmp_path: Path) -> None:
    table = Table(200)

    def fail_first(context: StepContext) -> None:
        if context.attempt == 1:
            assert marks(tmp_path) == []
            raise StepError("lost", kind="connection")

    table.before_end = fail_first
    await run_once(table, tmp_path, one_step("read", more="retry: {max_attempts: 2}"))

    assert (table.seen, marks(tmp_path)) == ([0, 0], [("orders", "int", "200", 0)])


async def test_a_cancelled_step_moves_nothing(tmp_path: Path) -> None:
    started = anyio.Event()

    async def read(context: StepContext, _: dict[str, Any]) -> StepResult:
        await context.mark("orders")
        started.set()
        await anyio.sleep_forever()
        return StepResult(marks={"orders": Mark.of(1)})

    async with live(one_step("read"), tmp_path, {"read": read}) as run, anyio.create_task_group() as tasks:

        async def cancel() -> None:
            await started.wait()
            run.executor.cancel("enough")

        tasks.start_soon(cancel)
        assert (await run.run()).phase == "CANCELLED"
    assert marks(tmp_path) == []


async def test_a_resumed_run_keeps_the_result_and_the_mark_of_a_step_that_succeeded(tmp_path: Path) -> None:
    table = Table(200)
    steps = "[{id: s, type: read, inputs: {}}, {id: t, type: load, inputs: {}}]"
    text = flow(f"{{id: a, steps: {steps}}}")

    async def load(_: StepContext, __: dict[str, Any]) -> None:
        if len(loads) < 1:
            loads.append(1)
            raise StepError("no room")

    loads: list[int] = []
    for _ in range(2):
        async with live(text, tmp_path, {"read": table.read, "load": load}) as run:
            await run.run()
        table.newest += 50
    assert run.state.phase == "SUCCESS"
    assert (table.seen, marks(tmp_path)) == ([0], [("orders", "int", "200", 0)])


async def test_a_step_that_runs_again_after_its_success_starts_where_the_run_had_started(
    tmp_path: Path,
) -> None:
    table = Table(200)
    await run_once(table, tmp_path)
    table.newest = 250
    async with live(one_step("read"), tmp_path, {"read": table.read}, rerun=["a"]) as run:
        await run.run()
    assert (table.seen, marks(tmp_path)) == ([0, 0], [("orders", "int", "250", 0)])

    table.newest = 220  # rows were deleted: the mark does not go back
    async with live(one_step("read"), tmp_path, {"read": table.read}, rerun=["a.s"]) as run:
        await run.run()
    assert (table.seen, marks(tmp_path)) == ([0, 0, 0], [("orders", "int", "250", 0)])


async def test_a_step_that_runs_again_starts_at_a_mark_that_a_person_has_set_since(tmp_path: Path) -> None:
    table = Table(200)
    await run_once(table, tmp_path)
    async with live(one_step("read"), tmp_path, {"read": table.read}, rerun=["a"]) as run:
        await run.database.transact(lambda raw: set_mark(raw, "demo", "orders", Mark.of(150), "ann", T0))
        await run.run()
    assert (table.seen, marks(tmp_path)) == ([0, 150], [("orders", "int", "200", 1)])


@pytest.mark.parametrize("value", [50, None])
async def test_what_a_person_sets_while_a_step_runs_stays(tmp_path: Path, value: int | None) -> None:
    async def read(context: StepContext, _: dict[str, Any]) -> StepResult:
        await context.mark("orders")
        mark = None if value is None else Mark.of(value)
        await run.database.transact(lambda raw: set_mark(raw, "demo", "orders", mark, "ann", T0))
        return StepResult(marks={"orders": Mark.of(200)})

    async with live(one_step("read"), tmp_path, {"read": read}) as run:
        assert (await run.run()).phase == "SUCCESS"
    stored = (None, None) if value is None else ("int", str(value))
    assert marks(tmp_path) == [("orders", *stored, 1)]


async def test_two_steps_of_a_run_do_not_share_a_mark(tmp_path: Path) -> None:
    table = Table(200)
    steps = "[{id: s, type: read, inputs: {}}, {id: t, type: read, inputs: {}}]"
    state = await run_once(table, tmp_path, flow(f"{{id: a, steps: {steps}}}"))

    error = state.jobs["a"].steps["t"].error
    assert error is not None
    assert (error.code, "a.s and a.t of this run use the same mark 'orders'" in error.message) == (
        "AF991",
        True,
    )
    resumed = await run_once(table, tmp_path, flow(f"{{id: a, steps: {steps}}}"))
    assert resumed.jobs["a"].steps["t"].error == error, "also in a resumed run"
    assert table.seen == [0]


async def test_after_a_failure_another_step_may_use_the_mark(tmp_path: Path) -> None:
    table = Table(200)

    async def breaks(context: StepContext, _: dict[str, Any]) -> None:
        await context.mark("orders")
        raise StepError("the replica is gone")

    text = flow(
        "{id: a, steps: [{id: s, type: breaks, inputs: {}}]}",
        "{id: b, steps: [{id: s, type: read, inputs: {}}]}",
    )
    async with live(text, tmp_path, {"read": table.read, "breaks": breaks}, limit=1) as run:
        await run.run()
    assert marks(tmp_path) == [("orders", "int", "200", 0)]


async def test_the_instances_of_a_mapped_job_have_marks_of_their_own(tmp_path: Path) -> None:
    table = Table(200)
    job = "{id: a, for_each: [north, south], steps: [{id: s, type: read, inputs: {mark: 'orders-{{item}}'}}]}"
    await run_once(table, tmp_path, flow(job))
    assert [row[0] for row in marks(tmp_path)] == ["orders-north", "orders-south"]

    table.newest = 300  # the whole job runs again, with its items the other way round
    text = flow(job.replace("north, south", "south, west, north"))
    async with live(text, tmp_path, {"read": table.read}, rerun=["a"]) as run:
        await run.run()
    assert sorted(table.seen) == [0] * 5, "each starts where it started in this run"
    assert {row[2] for row in marks(tmp_path)} == {"300"}


async def test_a_hook_of_the_next_ending_starts_where_that_of_the_last_one_had_started(
    tmp_path: Path,
) -> None:
    table = Table(200)
    hook = "on_exit: [{id: h, type: read, inputs: {}}]"
    text = flow("{id: a, steps: [{id: s, type: other, inputs: {}}]}", head=hook)

    async def other(_: StepContext, __: dict[str, Any]) -> None:
        """Do nothing."""

    for rerun in ([], ["a"]):
        steps = {"read": table.read, "other": other}
        async with live(text, tmp_path, steps, rerun=rerun) as run:
            assert (await run.run()).phase == "SUCCESS"
    assert (table.seen, marks(tmp_path)) == ([0, 0], [("orders", "int", "200", 0)])
    assert {job.steps["h"].status for name, job in run.state.jobs.items() if name != "a"} == {"SUCCESS"}


async def test_a_mark_of_another_type_fails_the_step(tmp_path: Path) -> None:
    async def read(_: StepContext, __: dict[str, Any]) -> StepResult:
        return StepResult(marks={"orders": Mark.of("b")})

    async with live(one_step("read"), tmp_path, {"read": read}) as run:
        await run.database.transact(lambda raw: set_mark(raw, "demo", "orders", Mark.of(150), "ann", T0))
        await run.run()
    assert run.step("a.s").error.code == "AF992"
    assert marks(tmp_path) == [("orders", "int", "150", 1)]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (StepResult(marks={"": Mark.of(1)}), "a mark has no name"),
        (StepResult(marks={"hush": Mark.of(1)}), "the name of a mark holds a secret"),
        (StepResult(marks={"orders": Mark.of("a hush")}), "the value of a mark holds a secret"),
        (StepResult("SKIPPED", marks={"orders": Mark.of(1)}), "a step that is SKIPPED moves no marks"),
    ],
)
async def test_a_mark_that_cannot_be_stored_fails_the_step(
    tmp_path: Path, result: StepResult, message: str
) -> None:
    async def read(_: StepContext, __: dict[str, Any]) -> StepResult:
        return result

    async with live(one_step("read"), tmp_path, {"read": read}, secrets=["hush"]) as run:
        await run.run()
    error = run.step("a.s").error
    assert (error.code, message in error.message) == ("AF990", True)
    assert marks(tmp_path) == []


async def test_a_step_below_a_lock_moves_its_mark(tmp_path: Path) -> None:
    table = Table(200)
    inner = "{lock_key: k, step: {type: read, inputs: {}}}"
    text = flow(f"{{id: a, steps: [{{id: s, type: with_lock, inputs: {inner}}}]}}")
    async with live(text, tmp_path, [with_lock, step("read")(table.read)]) as run:
        await run.run()
    assert (table.seen, marks(tmp_path)) == ([0], [("orders", "int", "200", 0)])


async def test_a_sync_step_reads_a_mark_too(tmp_path: Path) -> None:
    def read(context: StepContext, _: dict[str, Any]) -> StepResult:
        mark = context.run_async(context.mark, "orders")
        return StepResult(outputs={"from": str(mark)}, marks={"orders": Mark.of(7)})

    run = FakeRun(tmp_path)
    first = await run_step(step("read")(read), {}, run)
    second = await run_step(step("read")(read), {}, run)
    assert (first.outputs, second.outputs) == ({"from": "None"}, {"from": "7"})
    assert run.marks == first.marks == {"orders": Mark.of(7)}


PLUGIN = """
import os, pathlib
from aetherflow import Mark, StepContext, StepResult, step

@step("read")
async def read(context: StepContext, inputs: dict) -> StepResult:
    here = pathlib.Path(inputs["here"])
    mark = await context.mark("orders")
    start = 0 if mark is None else mark.value
    (here / "rows").write_text(f"{start + 1}-{start + 100}")
    if not (here / "died").exists():
        (here / "died").touch()
        os.kill(os.getpid(), 9)
    return StepResult(marks={"orders": Mark.of(start + 100)})
"""


async def test_a_run_that_is_killed_after_it_wrote_the_rows_reads_them_again(cli: CommandLine) -> None:
    cli.write("steps/read.py", PLUGIN)
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.folder / "steps")
    text = one_step("read", inputs=f"{{here: '{cli.folder}'}}")
    cli.write("flow.yaml", text)

    assert cli.run("run", "flow.yaml", "--run-id", "r").code == -9
    assert cli.query("SELECT count(*) FROM marks") == [(0,)]
    assert cli.run("runs", "retry", "r").code == 0
    assert (cli.folder / "rows").read_text() == "1-100"
    assert cli.query("SELECT value FROM marks") == [("100",)]
    assert cli.run("run", "flow.yaml", "--run-id", "s").code == 0
    assert (cli.folder / "rows").read_text() == "101-200"
