"""Attempts in a worker process of their own: programs end with them, whatever happens to the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.execution.file_messages import OpenLog, WriteLog
from aetherflow.execution.ports import LogLine, OutputLine
from aetherflow.execution.worker_messages import Answer, FromEngine, Stop, Work
from aetherflow.process.guardian_script import look_at
from tests.polling import wait_until
from tests.worker.engine_double import PATIENCE_SECONDS, EngineDouble, call_of, package_of

ROOT = Path(__file__).parents[2]


class _Pipe:
    """Stands for the attempt on this side: passes messages to the process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def receive(self, message: bytes) -> None:
        """Write a message."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:  # else the engine is gone
            self._process.stdin.write(message + b"\n")
            self._process.stdin.flush()


@contextmanager
def worker(
    folder: Path, step_type: str, inputs: dict[str, Any], **env: str
) -> Iterator[tuple[EngineDouble, subprocess.Popen[bytes]]]:
    """Let a worker process run an attempt; its end ends the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.worker_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), **env},
    )
    engine = EngineDouble(Work(call_of(folder, step_type, inputs), "p1"), package_of())
    pipe: Any = _Pipe(process)
    engine.attempt = pipe
    engine.answers[OpenLog] = 0
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        for line in lines:
            engine.send(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield engine, process
    finally:
        process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


SLEEPERS = "sleep 600 & setsid sleep 601 & echo $$ $!; echo err >&2; wait"


def pids_of(engine: EngineDouble) -> list[int]:
    """Return the processes that the program named."""

    def found() -> list[int]:
        lines = [one.text for one in engine.heard if isinstance(one, OutputLine) and one.stream == "stdout"]
        return [int(text) for line in lines for text in line.split()]

    wait_until(lambda: len(found()) > 1)
    return found()


def have_ended(pids: list[int]) -> bool:
    """Whether these processes have ended."""
    return not any(look_at(pid) for pid in pids)


def test_a_program_of_a_worker_gets_what_it_gets_in_the_engine(tmp_path: Path) -> None:
    script = (
        'echo "$AETHERFLOW_JOB_ID $AETHERFLOW_STEP_ID $TRACEPARENT"; echo "pw $MY_PASSWORD"; '
        'echo "made=1" >> "$AETHERFLOW_OUTPUT"; pwd; exit 0'
    )
    inputs = {"command": ["sh", "-c", script], "log": {"stdout": "capture"}}
    secret = {"MY_PASSWORD": "canary-pw-1"}
    with worker(tmp_path, "external.process", inputs, **secret) as (engine, process):
        answer = engine.answer
        process.wait(PATIENCE_SECONDS)
    assert answer.result is not None, answer
    outputs = answer.result.outputs
    first, second, third = outputs["stdout"].splitlines()
    assert first.startswith("a s 00-")
    assert (second, third) == ("pw ***", str(tmp_path / "work/demo/a/run-1/artifacts"))
    assert (outputs["exit_code"], outputs["made"]) == (0, "1")
    assert b"canary-pw-1" not in b"".join(engine.sent)
    assert process.returncode == 0


def test_the_log_of_a_program_arrives_while_it_runs(tmp_path: Path) -> None:
    with worker(tmp_path, "external.process", {"command": ["sh", "-c", SLEEPERS]}) as (engine, _):
        pids = pids_of(engine)

        def written() -> bytes:
            asks = [getattr(one, "ask", None) for one in engine.heard]
            return b"".join(bytes(ask.data) for ask in asks if isinstance(ask, WriteLog))

        wait_until(lambda: b"err\n" in written())
        engine.tell(Stop())
        assert engine.answer == Answer(progress_note=engine.answer.progress_note)
    wait_until(lambda: have_ended(pids))


def test_no_program_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    with worker(tmp_path, "external.process", {"command": ["sh", "-c", SLEEPERS]}) as (engine, process):
        pids = pids_of(engine)
        assert not have_ended(pids)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: have_ended(pids))


def test_no_program_outlives_an_engine_that_is_gone(tmp_path: Path) -> None:
    with worker(tmp_path, "external.process", {"command": ["sh", "-c", SLEEPERS]}) as (engine, process):
        pids = pids_of(engine)
        assert process.stdin is not None
        process.stdin.close()
        assert engine.answer.stopped == "the engine is gone"
        process.wait(PATIENCE_SECONDS)
        assert have_ended(pids)


def test_what_a_program_leaves_in_the_background_ends_with_its_attempt(tmp_path: Path) -> None:
    begun = "until grep -aq ^sleep /proc/$!/cmdline; do :; done"  # what becomes another program has no mark
    script = f"setsid sleep 600 >/dev/null 2>&1 & {begun}; echo $$ $!"
    with worker(tmp_path, "external.process", {"command": ["sh", "-c", script]}) as (engine, _):
        pids = pids_of(engine)
        assert engine.answer.result is not None
        assert have_ended(pids)
    lines = [one.message for one in engine.heard if isinstance(one, LogLine)]
    assert "This is ended now, as the step runs on a worker" in lines[0]
    assert lines[-1].endswith("was ended with the attempt (SIGTERM)")


def test_messages_of_a_worker_are_read_as_they_are_written() -> None:
    stop = Stop("why")
    assert msgspec.json.decode(msgspec.json.encode(stop), type=FromEngine) == stop
