"""Output that outlives its program: read by another task, or given to a process that outlives the engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aetherflow.process import guardian, pipes
from aetherflow.process.appended_file import AppendedFile
from aetherflow.process.guardian import end_leftovers, end_program, leave
from aetherflow.process.held_output import HeldOutput
from aetherflow.process.left_output import hand_over
from aetherflow.process.run_process import ProcessEnd, run_process
from aetherflow.process.spawn import Program
from aetherflow.redaction import Redactor
from tests.polling import eventually
from tests.steps.process_context import is_alive

EXECUTED = "until grep -q sleep /proc/$!/comm; do :; done"
"""Waits until the process in the background is no copy of the shell any more."""


class Heard:
    """What was read, and the output that is held."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = 0
        self.held: list[HeldOutput] = []

    async def take(self, data: bytes, *, last: bool = False) -> None:
        self.data += data
        self.ended += last


async def run(folder: Path, heard: Heard, script: str, run_id: str = "r") -> ProcessEnd:
    program = Program(("bash", "-c", script), folder, dict(os.environ))
    with anyio.fail_after(60):
        return await run_process(
            program, run_id=run_id, sinks={"stdout": heard.take}, step="a.s", keep=heard.held.append
        )


@pytest.fixture(autouse=True)
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "DRAIN_SECONDS", 0.1)


@pytest.mark.asyncio
async def test_held_output_is_read_by_another_task_until_nothing_holds_it(tmp_path: Path) -> None:
    heard = Heard()
    end = await run(tmp_path, heard, "(until test -e go; do sleep 0.01; done; echo second) & echo -n first-")
    assert (end.exit_code, end.held_open, heard.ended) == (0, True, 0)
    (held,) = heard.held
    (tmp_path / "go").touch()
    with anyio.fail_after(60):
        await held.run()
    assert (heard.data, heard.ended) == (b"first-second\n", 1)
    await end_leftovers("r")


@pytest.mark.asyncio
async def test_what_was_left_is_known_by_pid_name_and_step_and_its_end_is_reported(tmp_path: Path) -> None:
    end = await run(tmp_path, Heard(), f"sleep 1000 >/dev/null & {EXECUTED}")
    ((found, step, _),) = end.left
    assert (found.name, step) == ("sleep", "a.s")
    ended = await end_leftovers("r")
    assert [(one.pid, one.name, one.step, one.number) for one in ended.ended] == [
        (found.pid, "sleep", "a.s", signal.SIGTERM)
    ]
    assert (ended.survivors, ended.left) == ((), ())


@pytest.mark.asyncio
async def test_a_sink_that_fails_later_harms_nobody(tmp_path: Path) -> None:
    heard = Heard()
    await run(tmp_path, heard, "yes & echo")
    (held,) = heard.held
    problems: list[Exception] = []
    held.on_problem = problems.append

    async def broken(data: bytes, *, last: bool = False) -> None:
        raise ZeroDivisionError(data[:1], last)

    held._sinks = {"stdout": broken}
    with anyio.fail_after(60):
        await held.run()
    assert [type(problem) for problem in problems] == [ZeroDivisionError]
    await end_leftovers("r")


@pytest.mark.asyncio
async def test_reading_stops_at_the_end_of_the_run_though_a_stranger_holds_the_output(tmp_path: Path) -> None:
    heard = Heard()
    await run(tmp_path, heard, "sleep 1000 & echo")
    (held,) = heard.held
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.run)
            await anyio.wait_all_tasks_blocked()
            await held.stop()
    assert heard.ended == 1
    await end_leftovers("r")


def test_the_process_that_records_finds_the_libraries_where_the_engine_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be in PYTHONPATH (`pip install --target`) and not in the folders of the interpreter."""
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    seen: list[dict[str, Any]] = []
    real = subprocess.run

    def run_script(command: list[str], **options: Any) -> object:
        seen.append(json.loads(options["input"]))
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run_script)
    monkeypatch.setattr(sys, "path", ["", "relative", str(tmp_path)])
    hand_over({}, {}, Redactor([]))
    assert seen[0]["path"] == [str(tmp_path)]


@pytest.mark.asyncio
async def test_a_process_of_its_own_records_what_is_handed_over_masked_and_in_lines(tmp_path: Path) -> None:
    heard = Heard()
    script = (
        "(echo $BASHPID >pid; until test -e go; do sleep 0.01; done; echo -n my hunt; sleep 0.1; echo er2!) &"
    )
    end = await run(tmp_path, heard, script)
    (held,) = heard.held
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.run)
            await anyio.wait_all_tasks_blocked()
            ends = await held.release()
    log = AppendedFile(tmp_path / "logs" / "s.log", "private")
    give = partial(hand_over, ends, {"stdout": [log]}, Redactor(["hunter2"]))
    await anyio.to_thread.run_sync(give)
    leave(end.mark)
    assert [one.process.pid for one in (await end_leftovers("r")).left] == [
        one.process.pid for one in end.left[:1]
    ]
    (tmp_path / "go").touch()
    assert await eventually(lambda: log.path.exists() and log.path.read_bytes() == b"my ***!\n")
    assert log.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.asyncio
async def test_a_new_guardian_leaves_what_the_old_one_left(tmp_path: Path) -> None:
    """The guardian may be killed too; the next program starts another one."""
    script = "sleep 1000 >/dev/null &"
    left = await run(tmp_path, Heard(), script)
    leave(left.mark)
    first = guardian._engine.guardian
    os.kill(first, signal.SIGKILL)
    assert await eventually(lambda: not is_alive(first))
    leftover = await run(tmp_path, Heard(), script)
    second = guardian._engine.guardian
    assert second != first
    os.close(guardian._engine.pipe)  # as the kernel does for an engine that is killed
    guardian._engine.pipe, guardian._engine.guardian = -1, 0
    assert await eventually(lambda: not is_alive(leftover.left[0].process.pid))
    assert await eventually(lambda: not is_alive(second))
    os.waitpid(second, 0)  # noqa: ASYNC222 - it has ended, so this does not wait
    assert is_alive(left.left[0].process.pid)

    assert await end_program("r", left.mark, 1) == []
    assert not is_alive(left.left[0].process.pid)
    with suppress(KeyError):
        await end_leftovers("r")


@pytest.mark.asyncio
async def test_a_number_that_another_process_has_now_is_not_signalled(tmp_path: Path) -> None:
    """What carries no mark is known by its number and when it started."""
    end = await run(tmp_path, Heard(), f"env -i sleep 1000 >/dev/null & {EXECUTED}")
    (one,) = end.left
    other = one._replace(process=one.process._replace(started=one.process.started - 1))
    guardian._engine.runs["r"] = [other]
    assert (await end_leftovers("r")).survivors == ()
    assert is_alive(one.process.pid)
    guardian._engine.runs["r"] = [one]
    await end_leftovers("r")
    assert not is_alive(one.process.pid)
