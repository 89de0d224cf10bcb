"""Files and logs of attempts on workers that see the same folders as the engine."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution.file_messages import CHUNK_BYTES, PublishFile, WriteLog
from aetherflow.execution.ports import LogLine
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.files import atomic_write, publisher
from aetherflow.sdk.step_decorator import step
from aetherflow.steps.external_process import external_process
from tests.worker.engine_double import PATIENCE_SECONDS, call_of, in_thread
from tests.worker.files_double import engine_with_files


@step("write_sync")
def write_sync(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Write two files."""
    with context.writing(context.path("a.txt")) as part:
        part.write_text("a")
    with atomic_write(context.path("b.txt")) as part:
        part.write_text("b")
    return inputs


@step("write_in_thread")
def write_in_thread(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Write a file in a thread that the step starts itself."""
    thread = in_thread(lambda: write_sync_part(context))
    thread.join()
    return inputs


def write_sync_part(context: StepContext) -> None:
    with context.writing(context.path("a.txt")) as part:
        part.write_text("a")


@step("write_async")
async def write_async(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Write a file, which blocks the event loop of the attempt until the engine has answered."""
    with context.writing(context.path("a.txt")) as part:
        part.write_text("a")
    return inputs


def artifacts(root: Path) -> Path:
    return root / "work" / "demo" / "a" / "run-1" / "artifacts"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_file_gets_its_name_from_the_engine(tmp_path: Path) -> None:
    one = ["a.txt"]
    for name, expected in (
        ("write_sync", ["a.txt", "b.txt"]),
        ("write_async", one),
        ("write_in_thread", one),
    ):
        root = tmp_path / name
        types = (write_sync, write_async, write_in_thread)
        with engine_with_files(call_of(root, name), *types) as (_, files, run):
            assert run().error is None
            files.end()
        finals = [Path(ask.final.decode()).name for ask in files.asked if isinstance(ask, PublishFile)]
        assert finals == names(artifacts(root)) == expected
    assert publisher.get() is None


def test_an_attempt_that_was_given_up_names_no_file(tmp_path: Path) -> None:
    with engine_with_files(call_of(tmp_path, "write_sync"), write_sync) as (_, files, run):
        artifacts(tmp_path).mkdir(parents=True)
        (artifacts(tmp_path) / "a.txt").write_text("of the attempt that counts")
        files.end(accept=False)
        answer = run()
    assert answer.error is not None
    assert answer.error.code == "AF840"
    assert (artifacts(tmp_path) / "a.txt").read_text() == "of the attempt that counts"
    assert names(artifacts(tmp_path)) == ["a.txt"]


def program(code: str) -> dict[str, Any]:
    return {"command": [sys.executable, "-c", code]}


def test_the_engine_exchanges_an_output_folder(tmp_path: Path) -> None:
    once = {"strategy": "atomic_dir", "temp_output_dir": "new", "final_output_dir": "out"}
    code = "import os, pathlib; pathlib.Path('new', str(os.getpid())).touch()"
    for _ in range(2):
        call = call_of(tmp_path, "external.process", {**program(code), "idempotency": once})
        with engine_with_files(call, external_process) as (_, files, run):
            assert run().error is None
            files.end()
        ways = [ask.way for ask in files.asked if isinstance(ask, PublishFile)]
        assert ways == ["folder"]
    assert names(artifacts(tmp_path)) == ["out"]
    assert len(names(artifacts(tmp_path) / "out")) == 1


def test_the_output_of_a_program_is_in_the_log_of_the_engine(tmp_path: Path) -> None:
    code = "import sys\nprint('one \\u00e4')\nsys.stdout.write('no end')"
    with engine_with_files(call_of(tmp_path, "external.process", program(code)), external_process) as found:
        _, files, run = found
        assert run().error is None
        files.end()
    log = tmp_path / "logs" / "run-1" / "a" / "s.1.log"
    assert log.read_bytes() == "one ä\nno end".encode()


def test_a_log_arrives_while_the_program_runs(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    code = (
        "import pathlib, time\nprint('first', flush=True)\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\nprint('second')"
    )
    log = tmp_path / "logs" / "run-1" / "a" / "s.1.log"
    arrived = threading.Event()
    with engine_with_files(call_of(tmp_path, "external.process", program(code)), external_process) as found:
        engine, files, run = found

        def note(ask: Any) -> None:
            if isinstance(ask, WriteLog):
                arrived.set()

        files.before = note
        thread = in_thread(run)
        assert arrived.wait(PATIENCE_SECONDS)
        go_on.touch()
        thread.join(PATIENCE_SECONDS)
        assert engine.answer.error is None
    pieces = [ask for ask in files.asked if isinstance(ask, WriteLog)]
    assert pieces[0].data == b"first\n"
    assert log.read_bytes() == b"first\nsecond\n"


def test_much_output_is_sent_piece_by_piece(tmp_path: Path) -> None:
    code = "for _ in range(400): print('x' * 9999)"
    with engine_with_files(call_of(tmp_path, "external.process", program(code)), external_process) as found:
        _, files, run = found
        assert run().error is None
    log = tmp_path / "logs" / "run-1" / "a" / "s.1.log"
    assert log.stat().st_size == 4_000_000
    pieces = [ask for ask in files.asked if isinstance(ask, WriteLog)]
    assert max(len(piece.data) for piece in pieces) <= CHUNK_BYTES
    ends = [piece.offset + len(piece.data) for piece in pieces]
    assert [piece.offset for piece in pieces] == [0, *ends[:-1]]


def test_the_error_of_a_program_names_the_log_of_the_engine(tmp_path: Path) -> None:
    code = "print('why'); raise SystemExit(3)"
    with engine_with_files(call_of(tmp_path, "external.process", program(code)), external_process) as found:
        _, files, run = found
        error = run().error
        files.end()
    log = tmp_path / "logs" / "run-1" / "a" / "s.1.log"
    assert error is not None
    assert error.detail["log_file"] == str(log)
    assert str(log) in error.message
    assert "aetherflow-worker" not in repr(error)
    assert log.read_bytes() == b"why\n"


def test_a_log_that_the_engine_cannot_write_fails_no_step(tmp_path: Path) -> None:
    full = ErrorInfo("AF735", "cannot write s.1.log: it is full")
    with engine_with_files(
        call_of(tmp_path, "external.process", program("print(1)")), external_process
    ) as found:
        engine, files, run = found
        files.before = lambda ask: full if isinstance(ask, WriteLog) else None
        assert run().error is None
    said = [one.message for one in engine.heard if isinstance(one, LogLine)]
    assert said == ["the rest of the log s.1.log did not reach the engine: cannot write s.1.log: it is full"]


def test_a_step_that_fails_in_its_own_thread_leaves_no_folder(tmp_path: Path) -> None:
    @step("fail")
    def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        context.log_file.parent.mkdir(parents=True)
        context.log_file.write_text("mine")
        inputs["folder"] = context.log_file
        raise StepError("no")

    with engine_with_files(call_of(tmp_path, "fail"), fail) as (_, files, run):
        assert run().error is not None
        files.end()
    assert (tmp_path / "logs" / "run-1" / "a" / "s.1.log").read_text() == "mine"
