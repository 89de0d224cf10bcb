"""No child outlives its run, nor an engine that was killed."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aetherflow.process import guardian, guardian_script
from aetherflow.process.guardian import FEW_PROCESSES, MARK, end_leftovers, end_marked
from aetherflow.process.run_process import run_process
from aetherflow.process.spawn import Program
from tests.polling import eventually
from tests.steps.process_context import is_alive, pids_in

DAEMON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), file=open(sys.argv[1], "a", buffering=1))
        signal.pause()
    os._exit(0)
print(os.getpid(), file=open(sys.argv[1], "a", buffering=1))
signal.pause()
"""

ENGINE = """
import os, sys
from pathlib import Path
import anyio
from aetherflow.process import guardian
from aetherflow.process.run_process import run_process
from aetherflow.process.spawn import Program

async def child(*argv):
    await run_process(Program(argv, Path("."), dict(os.environ)), run_id="r", sinks={}, grace_seconds=30)

async def main():
    async with anyio.create_task_group() as tasks:
        stubborn = "sleep 1000 & echo $! >> pids; echo $$ >> pids; trap '' TERM; wait"
        tasks.start_soon(child, "bash", "-c", stubborn)
        tasks.start_soon(child, sys.executable, "-c", sys.argv[1], "pids")
        await anyio.sleep(0)
        Path("guardian").write_text(f"{guardian._engine.guardian}\\n")

anyio.run(main)
"""


@asynccontextmanager
async def engine(
    folder: Path, script: str, *arguments: str, mark: str = ""
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a script as an engine process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(guardian.__file__).parents[2])}
    if mark:
        environment[MARK] = mark
    argv = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(argv, cwd=folder, env=environment) as process:  # noqa: ASYNC220 - starting is quick
        try:
            yield process
        finally:
            process.kill()


def newest_number() -> int:
    """Return the number that the kernel gave to the process that was started last."""
    return int(Path("/proc/loadavg").read_text().split()[-1])


async def run_here(folder: Path, *argv: str, run_id: str) -> None:
    with anyio.fail_after(30):
        await run_process(Program(argv, folder, dict(os.environ)), run_id=run_id, sinks={})


@pytest.mark.asyncio
async def test_nothing_survives_an_engine_that_is_killed(tmp_path: Path) -> None:
    async with engine(tmp_path, ENGINE, DAEMON) as process:
        children = await pids_in(tmp_path / "pids", 4)
        (guard,) = await pids_in(tmp_path / "guardian", 1)
        assert all(map(is_alive, [*children, guard]))
        process.send_signal(signal.SIGKILL)
    assert await eventually(lambda: not any(map(is_alive, children)))
    assert await eventually(lambda: not is_alive(guard))


@pytest.mark.asyncio
async def test_the_guardian_survives_the_signals_that_end_an_engine(tmp_path: Path) -> None:
    async with engine(tmp_path, ENGINE, DAEMON) as process:
        children = await pids_in(tmp_path / "pids", 4)
        (guard,) = await pids_in(tmp_path / "guardian", 1)
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGUSR1,
            signal.SIGRTMIN,
        ):
            assert await eventually(functools.partial(ignores, guard, number))
            os.kill(guard, number)
        process.send_signal(signal.SIGKILL)
    assert await eventually(lambda: not any(map(is_alive, children)))


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return bool(int(status["SigIgn"], 16) & 1 << number - 1)


@pytest.mark.asyncio
async def test_the_guardian_goes_with_an_engine_that_ends_well(tmp_path: Path) -> None:
    quick = ENGINE.replace('tasks.start_soon(child, sys.executable, "-c", sys.argv[1], "pids")', "").replace(
        "sleep 1000 &", "true &"
    )
    async with engine(tmp_path, quick) as process:
        assert await anyio.to_thread.run_sync(process.wait) == 0
    (guard,) = await pids_in(tmp_path / "guardian", 1)
    assert await eventually(lambda: not is_alive(guard))


@pytest.mark.asyncio
async def test_an_engine_inside_another_ones_process_ends_with_all_its_children(tmp_path: Path) -> None:
    outer = f"outer-{os.getpid()}:run:"
    async with engine(tmp_path, ENGINE, DAEMON, mark=f"{outer}1") as process:
        children = await pids_in(tmp_path / "pids", 4)
        assert await end_marked(f"not-{outer}", 0.1) == []
        assert process.poll() is None
        assert await end_marked(outer, 0.1) == []
        assert process.wait(30) in (-signal.SIGTERM, -signal.SIGKILL)
    assert await eventually(lambda: not any(map(is_alive, children)))


@pytest.mark.parametrize("longer", ["one.more", "one:more"])
@pytest.mark.asyncio
async def test_the_end_of_a_run_ends_its_background_processes_and_no_other_runs(
    tmp_path: Path, longer: str
) -> None:
    for run_id in ("one", longer):
        await run_here(tmp_path, "sh", "-c", f"setsid sleep 1000 & echo $! > {run_id}", run_id=run_id)
    (first,), (second,) = await pids_in(tmp_path / "one", 1), await pids_in(tmp_path / longer, 1)
    assert (await end_leftovers("one")).survivors == ()
    assert (is_alive(first), is_alive(second)) == (False, True)
    assert (await end_leftovers(longer)).survivors == ()
    assert not is_alive(second)


@pytest.mark.asyncio
async def test_what_a_program_leaves_is_found_although_its_number_was_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = newest_number()
    with monkeypatch.context() as patched:  # as after so many programs that ended long ago
        numbers = dict.fromkeys(range(newest + 1, newest + FEW_PROCESSES))
        patched.setattr(guardian._engine, "leaders", numbers)
        daemon = "setsid sh -c 'echo $$ > left; read line < never' > /dev/null 2>&1 &"
        until = "while [ ! -s left ]; do sleep 0.01; done"  # while exec replaces it, it shows no mark
        await run_here(tmp_path, "sh", "-c", f"mkfifo never; {daemon} {until}", run_id="r")
    noted = [one.process.pid for one in guardian._engine.runs["r"]]
    (left,) = await pids_in(tmp_path / "left", 1)
    assert noted == [left]
    await end_leftovers("r")
    assert await eventually(lambda: not is_alive(left))


def test_a_process_is_found_while_it_becomes_another_program(tmp_path: Path) -> None:
    """In the moment of its exec, it shows neither its environment nor its command line."""
    again = tmp_path / "again.sh"
    again.write_text('[ $1 = 0 ] && exec sleep 1000\nexec sh "$0" $(($1 - 1))\n')
    environment = {"PATH": os.environ["PATH"], MARK: "again:r:1"}
    with subprocess.Popen(["sh", str(again), "300"], env=environment) as process:
        try:
            looks = []
            while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
                looks.append(guardian_script.living(f"\0{MARK}=again:".encode(), pids=[process.pid]))
        finally:
            process.kill()
    assert len(looks) > 1
    assert all(looks), f"{looks.count([])} of {len(looks)} looks have missed it"


@pytest.mark.asyncio
async def test_leftovers_that_ignore_sigterm_are_killed(tmp_path: Path) -> None:
    await run_here(
        tmp_path,
        sys.executable,
        "-c",
        DAEMON.rpartition("signal.pause()")[0],  # it ends at once, its daemon does not
        "pids",
        run_id="x",
    )
    await run_here(
        tmp_path,
        "bash",
        "-c",
        "(trap '' TERM; echo $BASHPID > stubborn; while :; do sleep 9; done) &",
        run_id="x",
    )
    (stubborn,) = await pids_in(tmp_path / "stubborn", 1)
    assert (await end_leftovers("x", grace_seconds=0.2)).survivors == ()
    assert not is_alive(stubborn)


@pytest.mark.asyncio
async def test_a_run_without_processes_needs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object) -> list[int]:
        raise AssertionError(arguments)

    monkeypatch.setattr(guardian_script, "living", forbidden)
    assert (await end_leftovers("a run that started nothing")).survivors == ()


@pytest.mark.asyncio
async def test_a_process_that_cannot_be_ended_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_here(tmp_path, "sh", "-c", "setsid sleep 1000 & echo $! > pid", run_id="stuck")
    (stuck,) = await pids_in(tmp_path / "pid", 1)
    with monkeypatch.context() as deaf:
        deaf.setattr(guardian_script, "KILL_PATIENCE_SECONDS", 0.1)
        deaf.setattr(guardian_script.Ending, "_signal", lambda *_: None)
        assert (await end_leftovers("stuck", grace_seconds=0.1)).survivors == (stuck,)
    assert (await end_leftovers("stuck", grace_seconds=0.1)).survivors == ()  # it is not forgotten
    assert not is_alive(stuck)


@pytest.mark.asyncio
async def test_a_guardian_that_was_killed_is_replaced(tmp_path: Path) -> None:
    await run_here(tmp_path, "true", run_id="r")
    first = guardian._engine.guardian
    os.kill(first, signal.SIGKILL)
    assert await eventually(lambda: not is_alive(first))
    await run_here(tmp_path, "true", run_id="r")
    second = guardian._engine.guardian
    assert second != first
    assert is_alive(second)


def test_a_forked_worker_does_not_hold_the_guardians_pipe() -> None:
    guardian.new_mark("r")
    pipe, own = guardian._engine.pipe, guardian._engine.id
    pid = os.fork()
    if pid == 0:
        kept = os.path.exists(f"/proc/self/fd/{pipe}")  # noqa: PTH110 - as little as possible after a fork
        os._exit(1 if kept or guardian._engine.id == own or guardian._engine.pipe != -1 else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert guardian._engine.pipe == pipe


def test_the_guardian_needs_nothing_but_the_standard_library() -> None:
    script = (
        f"import runpy, sys; runpy.run_path({guardian_script.__file__!r}); print('aetherflow' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, check=True, text=True
    )
    assert answer.stdout.strip() == "False"


@pytest.mark.asyncio
async def test_forty_blocked_threads_do_not_stop_the_ending_of_processes(tmp_path: Path) -> None:
    released = threading.Event()

    async def block() -> None:
        await anyio.to_thread.run_sync(released.wait)

    program = Program(("sleep", "1000"), tmp_path, dict(os.environ))
    async with anyio.create_task_group() as blocked:
        for _ in range(int(anyio.to_thread.current_default_thread_limiter().total_tokens)):
            blocked.start_soon(block)
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(20):
                ended = await run_process(
                    program, run_id="r", sinks={}, timeout_seconds=0.1, grace_seconds=0.1
                )
        finally:
            released.set()
    assert ended.timed_out
    assert ended.survivors == ()
