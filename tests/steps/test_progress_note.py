"""A program that a time limit of step, job or run ends: the error has its last lines, its log and a hint."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow.events import run_events as e
from aetherflow.steps.external_process import external_process
from aetherflow.steps.with_lock import with_lock
from tests.execution.live_run import LiveRun, live
from tests.store.clock_double import FakeClock

PROGRAM = "command: [sh, -c, 'echo waits for the table sales >&2; exec sleep 60'], kill_grace_seconds: 1"
COMMAND = "not finished, so it was ended: sh -c 'echo waits for the table sales >&2; exec sleep 60'"
LAST_LINES = "last lines of stderr:\n  waits for the table sales"


async def out_of_time(text: str, folder: Path) -> LiveRun:
    """Run a flow with a limit of five seconds; they pass when the program has said what it waits for."""
    clock = FakeClock()
    async with (
        live(text, folder, [external_process, with_lock], clock=clock) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.StepOutput))
        clock.advance(5)
    return run


def flow(*, run: str = "", job: str = "", step: str = "", type_of: str = "external.process") -> str:
    """Return a flow of one step, with what is to be said of it, of its job and of the run."""
    program = f"{{{PROGRAM}}}"
    if type_of == "with_lock":
        program = f"{{lock_key: k, step: {{type: external.process, inputs: {program}}}}}"
    return (
        f"version: 1\nflow: {{id: f{run}}}\njobs:\n"
        f"  - {{id: a{job}, steps: [{{id: s{step}, type: {type_of}, inputs: {program}}}]}}\n"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "log", "reported"),
    [
        (flow(step=", timeout_seconds: 5"), "s.1.log", ("AF710", "the step's timeout_seconds")),
        (flow(job=", timeout_seconds: 5"), "s.1.log", ("AF711", "the job's timeout_seconds")),
        (
            flow(step=", timeout_seconds: 5", type_of="with_lock"),
            "s.locked.1.log",
            ("AF710", "the step's timeout_seconds"),
        ),
    ],
)
async def test_a_step_or_job_out_of_time_shows_how_far_its_program_came(
    tmp_path: Path, text: str, log: str, reported: tuple[str, str]
) -> None:
    run = await out_of_time(text, tmp_path)

    error = run.step("a.s").error
    code, limit = reported
    file = tmp_path / "logs" / "run-1" / "a" / log
    assert error.code == code
    assert error.message == f"{limit} passed after 5 s: {COMMAND}\n{LAST_LINES}\nwhole output: {file}"
    assert "waits for the table sales" in file.read_text()
    assert error.hint.startswith("raise timeout_seconds")


@pytest.mark.asyncio
async def test_a_run_out_of_time_shows_it_once_and_by_the_step(tmp_path: Path) -> None:
    run = await out_of_time(flow(run=", timeout_seconds: 5"), tmp_path)

    why = "the run's timeout_seconds passed after 5 s"
    assert run.state.phase == "FAILED"
    assert run.step("a.s").reason.startswith(f"{why}: {COMMAND}\n{LAST_LINES}\nwhole output: ")
    assert [event.reason for event in run.seen.of(e.JobFinished)] == [why]
