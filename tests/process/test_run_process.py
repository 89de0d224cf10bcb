"""Starting, waiting and ending, with real programs."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from aetherflow.errors import StepError
from aetherflow.process import pipes
from aetherflow.process.guardian import MARK, end_leftovers
from aetherflow.process.pipes import Stream, Take
from aetherflow.process.run_process import ProcessEnd, run_process
from aetherflow.process.spawn import Program
from tests.polling import eventually
from tests.steps.process_context import is_alive, limits_pass_after, pids_in

SETSID_TWICE = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for fd in (0, 1, 2):
            os.close(fd)
        with open(sys.argv[1], "a") as file:
            file.write(f"{os.getpid()}\\n")
        signal.pause()
    os._exit(0)
time.sleep(float(sys.argv[2]))
"""
"""A daemon as the books teach it: double fork, a session of its own, deaf to SIGTERM."""


class Heard:
    """Collects what a program writes."""

    def __init__(self) -> None:
        self.data: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def sinks(self) -> dict[Stream, Take]:
        async def stdout(data: bytes, *, last: bool = False) -> None:
            del last
            self.data["stdout"] += data

        async def stderr(data: bytes, *, last: bool = False) -> None:
            del last
            self.data["stderr"] += data

        return {"stdout": stdout, "stderr": stderr}


def program(folder: Path, *argv: str, stdin: bytes | None = None) -> Program:
    return Program(argv, folder, {"PATH": os.environ["PATH"]}, stdin)


def zombies() -> list[str]:
    """Return the children of this process that nobody has reaped."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            text = file.read_text()
            if text.rpartition(")")[2].split()[:2] == ["Z", str(os.getpid())]:
                found.append(text)
    return found


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that counts


async def run(
    made: Program, heard: Heard | None = None, *, limit: float | None = None, grace: float = 5
) -> ProcessEnd:
    sinks = (heard or Heard()).sinks()
    with anyio.fail_after(60):
        return await run_process(made, run_id="r", sinks=sinks, timeout_seconds=limit, grace_seconds=grace)


async def run_out_of_time(made: Program, heard: Heard | None = None, *, grace: float) -> ProcessEnd:
    """Run a program to a limit that passes as soon as it has made the file `ready`."""
    with limits_pass_after((made.directory / "ready").exists):
        return await run(made, heard, limit=0.05, grace=grace)


async def cancel_when(made: Program, ready: anyio.Event, *, grace: float = 5) -> None:
    """Run a program in a task that is cancelled as soon as the event is set."""
    async with anyio.create_task_group() as tasks:

        async def watched() -> None:
            await run(made, grace=grace)

        tasks.start_soon(watched)
        await ready.wait()
        tasks.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_the_exit_code_and_both_streams_come_back(tmp_path: Path) -> None:
    heard = Heard()
    end = await run(program(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3"), heard)
    assert (end.exit_code, end.timed_out, end.held_open, end.survivors) == (3, False, False, ())
    assert heard.data == {"stdout": b"out\n", "stderr": b"err\n"}


@pytest.mark.asyncio
async def test_a_program_killed_by_a_signal_has_minus_its_number(tmp_path: Path) -> None:
    assert (await run(program(tmp_path, "sh", "-c", "kill -9 $$"))).exit_code == -signal.SIGKILL


@pytest.mark.asyncio
async def test_no_output_is_lost_in_many_quick_runs(tmp_path: Path) -> None:
    limit = anyio.Semaphore(8)
    answers: list[bytes] = []

    async def one(number: int) -> None:
        heard = Heard()
        async with limit:
            await run(program(tmp_path, "/bin/echo", str(number)), heard)
        answers.append(heard.data["stdout"])

    async with anyio.create_task_group() as tasks:
        for number in range(600):
            tasks.start_soon(one, number)
    assert sorted(answers) == sorted(b"%d\n" % number for number in range(600))


@pytest.mark.asyncio
async def test_a_program_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    heard = Heard()
    end = await run(program(tmp_path, "sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 3"), heard)
    assert (end.exit_code, end.held_open, heard.data) == (3, False, {"stdout": b"", "stderr": b""})


@pytest.mark.asyncio
async def test_output_after_the_other_stream_was_closed_comes_back(tmp_path: Path) -> None:
    heard = Heard()
    await run(program(tmp_path, "sh", "-c", "exec 2>&-; sleep 0.1; echo late"), heard)
    assert heard.data == {"stdout": b"late\n", "stderr": b""}


@pytest.mark.asyncio
async def test_what_each_of_many_programs_has_left_is_found(tmp_path: Path) -> None:
    ends: list[tuple[set[int], int]] = []

    async def one() -> None:
        heard = Heard()
        script = "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"
        end = await run(program(tmp_path, "sh", "-c", script), heard)
        ends.append(({left.process.pid for left in end.left}, int(heard.data["stdout"])))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one)
            tasks.start_soon(run, program(tmp_path, "true"))
    assert len(ends) == 8
    assert all(left == {pid} for left, pid in ends)
    assert (await end_leftovers("r")).survivors == ()


@pytest.mark.asyncio
async def test_stdin_larger_than_a_pipe_arrives_whole(tmp_path: Path) -> None:
    text = b"0123456789abcde\n" * 100_000
    heard = Heard()
    await run(program(tmp_path, "cat", stdin=text), heard)
    assert heard.data["stdout"] == text


@pytest.mark.asyncio
async def test_a_program_that_does_not_read_its_stdin_is_no_error(tmp_path: Path) -> None:
    assert (await run(program(tmp_path, "true", stdin=b"x" * 1_000_000))).exit_code == 0


@pytest.mark.asyncio
async def test_an_unread_stdin_held_by_a_background_process_does_not_hold_up_the_end(tmp_path: Path) -> None:
    made = program(tmp_path, "sh", "-c", "sleep 1000 <&0 >/dev/null 2>&1 & exit 4", stdin=b"x" * 1_000_000)
    assert (await run(made)).exit_code == 4
    await end_leftovers("r")


@pytest.mark.asyncio
async def test_without_stdin_there_is_nothing_to_read(tmp_path: Path) -> None:
    heard = Heard()
    await run(program(tmp_path, "sh", "-c", "wc -c"), heard)
    assert heard.data["stdout"].strip() == b"0"


@pytest.mark.asyncio
async def test_a_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    script = "sleep 1000 & echo $! >> pids; sleep 1000 & echo $! >> pids; : > ready; wait"
    end = await run_out_of_time(program(tmp_path, "bash", "-c", script), grace=5)
    assert (end.timed_out, end.exit_code) == (True, -signal.SIGTERM)
    assert not any(map(is_alive, await pids_in(tmp_path / "pids", 2)))


@pytest.mark.asyncio
async def test_a_group_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    script = (
        "trap '' TERM; (trap '' TERM; echo $BASHPID >> pids; : > ready; while :; do sleep 1000; done) & "
        "wait; sleep 1000"
    )
    end = await run_out_of_time(program(tmp_path, "bash", "-c", script), grace=0.3)
    assert (end.timed_out, end.exit_code) == (True, -signal.SIGKILL)
    assert not any(map(is_alive, await pids_in(tmp_path / "pids", 1)))


@pytest.mark.asyncio
async def test_a_program_gets_its_grace_to_clean_up(tmp_path: Path) -> None:
    heard = Heard()
    script = "trap 'echo cleaned; exit 0' TERM; sleep 1000 & : > ready; wait"
    end = await run_out_of_time(program(tmp_path, "bash", "-c", script), heard, grace=20)
    assert (end.timed_out, end.exit_code, heard.data["stdout"]) == (True, 0, b"cleaned\n")


@pytest.mark.asyncio
async def test_a_grandchild_gets_the_grace_too_when_its_parent_is_already_gone(tmp_path: Path) -> None:
    grandchild = "trap 'sleep 0.3; echo cleaned > done; exit' TERM; sleep 1000 & : > ready; wait"
    made = program(tmp_path, "bash", "-c", f"({grandchild}) & sleep 1000")
    await run_out_of_time(made, grace=20)
    assert (tmp_path / "done").read_text() == "cleaned\n"


@pytest.mark.asyncio
async def test_a_grandchild_in_the_group_is_asked_only_once(tmp_path: Path) -> None:
    script = "trap 'echo TERM >> asked' TERM; : > ready; while :; do sleep 0.05; done"
    await run_out_of_time(program(tmp_path, "bash", "-c", script), grace=2)
    assert (tmp_path / "asked").read_text() == "TERM\n"


@pytest.mark.asyncio
async def test_a_stopped_program_ends_too(tmp_path: Path) -> None:
    end = await run(program(tmp_path, "bash", "-c", "kill -STOP $$; sleep 1000"), limit=1, grace=20)
    assert (end.timed_out, end.exit_code) == (True, -signal.SIGTERM)


@pytest.mark.asyncio
async def test_a_daemon_that_left_the_group_is_found_and_killed(tmp_path: Path) -> None:
    made = program(tmp_path, sys.executable, "-c", SETSID_TWICE, "pids", "1000")
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: cancel_when(made, ready, grace=0.3))
        (daemon,) = await pids_in(tmp_path / "pids", 1)
        assert is_alive(daemon)
        ready.set()
    assert not is_alive(daemon)


@pytest.mark.asyncio
async def test_cancelling_ends_the_program_before_it_returns(tmp_path: Path) -> None:
    made = program(tmp_path, "bash", "-c", "sleep 1000 & echo $! >> pids; echo $$ >> pids; wait")
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_when, made, ready)
        started = await pids_in(tmp_path / "pids", 2)
        ready.set()
    assert not any(map(is_alive, started))


@pytest.mark.asyncio
async def test_a_program_that_fills_its_pipe_can_be_cancelled(tmp_path: Path) -> None:
    stuck, started = anyio.Event(), anyio.Event()

    async def never_takes(data: bytes, *, last: bool = False) -> None:
        if data and not last:
            started.set()
            await stuck.wait()

    async def watched() -> None:
        await run_process(
            program(tmp_path, "yes"), run_id="r", sinks={"stdout": never_takes}, grace_seconds=5
        )

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched)
            await started.wait()
            tasks.cancel_scope.cancel()
            stuck.set()


@pytest.mark.asyncio
async def test_what_is_stuck_while_taking_output_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "DRAIN_SECONDS", 0.1)
    monkeypatch.setattr(pipes, "FLUSH_SECONDS", 0.1)

    async def never_takes(data: bytes, *, last: bool = False) -> None:
        del data, last
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        end = await run_process(program(tmp_path, "echo"), run_id="r", sinks={"stdout": never_takes})
    assert end.held_open


@pytest.mark.asyncio
async def test_a_background_process_that_holds_the_output_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "DRAIN_SECONDS", 0.2)
    heard = Heard()
    end = await run(program(tmp_path, "sh", "-c", "sleep 1000 & echo $! > pids; echo said"), heard)
    assert (end.exit_code, end.held_open, heard.data["stdout"]) == (0, True, b"said\n")
    (background,) = await pids_in(tmp_path / "pids", 1)
    assert is_alive(background)  # until the run ends
    assert (await end_leftovers("r")).survivors == ()
    assert not is_alive(background)


@pytest.mark.asyncio
async def test_a_slow_reader_loses_nothing_when_the_drain_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "DRAIN_SECONDS", 0.05)
    heard: list[bytes] = []

    async def slowly(data: bytes, *, last: bool = False) -> None:
        del last
        heard.append(data)
        await anyio.sleep(0.15)

    script = "sleep 1000 & head -c 60000 /dev/zero; sleep 0.1; head -c 60000 /dev/zero"
    await run_process(program(tmp_path, "sh", "-c", script), run_id="r", sinks={"stdout": slowly})
    assert sum(map(len, heard)) == 120_000
    await end_leftovers("r")


@pytest.mark.asyncio
async def test_a_talkative_background_process_does_not_keep_the_step_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "DRAIN_SECONDS", 0.2)

    async def ignores(data: bytes, *, last: bool = False) -> None:
        del data, last

    with anyio.fail_after(30):
        end = await run_process(
            program(tmp_path, "sh", "-c", "yes & exit 0"), run_id="r", sinks={"stdout": ignores}
        )
    assert end.held_open
    await end_leftovers("r")


@pytest.mark.asyncio
async def test_a_failing_sink_ends_the_program(tmp_path: Path) -> None:
    async def breaks(data: bytes, *, last: bool = False) -> None:
        raise ZeroDivisionError(data, last)

    with pytest.raises(ExceptionGroup) as raised, anyio.fail_after(30):
        await run_process(
            program(tmp_path, "sh", "-c", "echo $$ > pids; echo; sleep 1000"),
            run_id="r",
            sinks={"stdout": breaks},
        )
    assert raised.group_contains(ZeroDivisionError)
    assert not any(map(is_alive, await pids_in(tmp_path / "pids", 1)))


@pytest.mark.asyncio
async def test_the_child_leads_its_session_and_carries_the_mark(tmp_path: Path) -> None:
    heard = Heard()
    script = (
        "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0), os.environ['AETHERFLOW_PROCESS'])"
    )
    made = Program((sys.executable, "-c", script), tmp_path, {MARK: "another engine's"})
    end = await run(made, heard)
    assert heard.data["stdout"].decode().split() == ["True", end.mark]
    engine, run_id, number = end.mark.split(":")
    assert engine.startswith(f"{os.getpid()}.")
    assert (run_id, number.isdigit()) == ("r", True)


@pytest.mark.asyncio
async def test_the_child_gets_no_file_of_the_engine(tmp_path: Path) -> None:
    heard = Heard()
    await run(program(tmp_path, "ls", "/proc/self/fd"), heard)
    assert heard.data["stdout"].split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder that ls lists


@pytest.mark.asyncio
async def test_no_file_and_no_zombie_is_left(tmp_path: Path) -> None:
    await run(program(tmp_path, "true"))
    gc.collect()  # files that earlier tests left open are closed now, not in between
    before, zombies_before = open_files(), zombies()
    for _ in range(5):
        await run(program(tmp_path, "sh", "-c", "echo; cat", stdin=b"x"))
        await run(program(tmp_path, "sleep", "1000"), limit=0.05)
        with pytest.raises(StepError):
            await run(program(tmp_path, "no-such-program", stdin=b"x"))
    assert await eventually(lambda: open_files() <= before)
    assert set(zombies()) <= set(zombies_before)


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (("no-such-program",), "cannot start no-such-program: No such file or directory", "PATH"),
        (("./nothing.sh",), "cannot start ./nothing.sh: No such file or directory", "looked up in"),
        (("ls -l",), "cannot start ls -l: No such file or directory", "shell: true"),
        (("./plain.txt",), "cannot start ./plain.txt: Permission denied", "chmod"),
        (("./binary",), "cannot start ./binary: Exec format error", "#!"),
        (("true", "x" * 3_000_000), "cannot start true: Argument list too long", "stdin"),
        (("true", "a\0b"), "cannot start true: embedded null byte", ""),
    ],
)
@pytest.mark.asyncio
async def test_a_program_that_cannot_be_started_says_why(
    tmp_path: Path, argv: tuple[str, ...], message: str, hint: str
) -> None:
    (tmp_path / "plain.txt").write_text("text")
    (tmp_path / "binary").write_bytes(b"\0\1")
    (tmp_path / "binary").chmod(0o755)
    with pytest.raises(StepError) as raised:
        await run(program(tmp_path, *argv))
    assert (raised.value.code, raised.value.message) == ("AF731", message)
    assert hint in raised.value.hint


@pytest.mark.asyncio
async def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"the working directory .*/nowhere: No such file") as raised:
        await run(program(tmp_path / "nowhere", "true"))
    assert "cwd" in raised.value.hint


@pytest.mark.asyncio
async def test_without_pidfd_a_thread_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError(pid)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pidfd_open", missing)
        assert (await run(program(tmp_path, "sh", "-c", "exit 5"))).exit_code == 5
        end = await run(program(tmp_path, "sleep", "1000"), limit=0.1)
    assert (end.timed_out, end.exit_code) == (True, -signal.SIGTERM)


@pytest.mark.asyncio
async def test_a_lost_exit_status_is_an_error_and_no_success(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(StepError, match="was lost"):
            await run(program(tmp_path, "false"))
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.asyncio
async def test_a_program_whose_first_thread_is_gone_still_counts_as_alive(tmp_path: Path) -> None:
    script = (
        "import ctypes, signal, threading, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def rest():\n"
        "    while open('/proc/self/stat').read().rpartition(')')[2].split()[0] != 'Z': time.sleep(0.01)\n"
        "    open('ready', 'w').close()\n"
        "    time.sleep(1000)\n"
        "threading.Thread(target=rest).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    end = await run_out_of_time(program(tmp_path, sys.executable, "-c", script), grace=0.3)
    assert (tmp_path / "ready").exists()
    assert (end.timed_out, end.exit_code, end.survivors) == (True, -signal.SIGKILL, ())


@pytest.mark.asyncio
async def test_many_stubborn_programs_end_together(tmp_path: Path) -> None:
    async def one() -> None:
        await run(
            program(tmp_path, "bash", "-c", "trap '' TERM; while :; do sleep 1000; done"),
            limit=1,
            grace=0.5,
        )

    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert anyio.current_time() - started < 15
