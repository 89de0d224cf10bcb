"""The logs of an attempt are sent while they are written; what fails with one log fails nothing else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import AttemptLost, StepError
from aetherflow.execution.file_messages import OpenLog, WriteLog
from aetherflow.worker.sent_logs import SentLogs

pytestmark = pytest.mark.anyio


class Engine:
    """Keeps what it is sent; `fails` is what it does with the log `a.log`."""

    def __init__(self, fails: BaseException | None = None, opened: Any = 0) -> None:
        self.fails, self.opened = fails, opened
        self.got: dict[str, bytes] = {}

    def __call__(self, ask: Any) -> Any:
        """Answer a question."""
        if ask.name == "a.log" and self.fails is not None:
            raise self.fails
        if isinstance(ask, OpenLog):
            return self.opened if ask.name == "a.log" else 0
        assert isinstance(ask, WriteLog)
        self.got[ask.name] = self.got.get(ask.name, b"") + ask.data
        return None


def written(folder: Path) -> Path:
    """Write two logs."""
    for name in ("a", "b"):
        (folder / f"{name}.log").write_text(name)
    return folder


@pytest.mark.parametrize(
    ("fails", "opened", "why"),
    [
        (StepError("the disk of the engine is full"), 0, "the disk of the engine is full"),
        (AttemptLost("the worker is cut off"), 0, "the worker is cut off"),
        (ConnectionResetError("closed"), 0, "ConnectionResetError: closed"),
        (None, "odd", "ValidationError: Expected `int`, got `str`"),
        (None, None, "ValidationError: Expected `int`, got `null`"),
    ],
)
async def test_a_log_that_cannot_be_sent_is_said_once_and_the_others_are_sent(
    tmp_path: Path, fails: BaseException | None, opened: Any, why: str
) -> None:
    engine, said = Engine(fails, opened), list[str]()
    logs = SentLogs(written(tmp_path), engine, said.append)
    await logs.finish()
    (tmp_path / "b.log").write_text("bc")
    await logs.finish()
    assert engine.got == {"b.log": b"bc"}
    assert said == [f"the rest of the log a.log did not reach the engine: {why}"]


async def test_a_log_that_is_removed_meanwhile_is_said_and_the_others_are_sent(tmp_path: Path) -> None:
    engine, said = Engine(), list[str]()

    def ask(question: Any) -> Any:
        other = "b.log" if question.name == "a.log" else "a.log"
        (tmp_path / other).unlink(missing_ok=True)
        return engine(question)

    await SentLogs(written(tmp_path), ask, said.append).finish()
    assert len(engine.got) == 1
    assert len(said) == 1
    assert "FileNotFoundError" in said[0]


async def test_logs_that_cannot_be_read_fail_no_step(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("the step has made it a file")
    said: list[str] = []
    logs = SentLogs(tmp_path / "logs", Engine(), said.append)
    await logs.finish()
    await logs.finish()
    assert said == ["the folder of the logs cannot be read: Not a directory"]


async def test_an_attempt_that_is_cancelled_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    asked, answers = threading.Event(), threading.Event()

    def ask(_question: Any) -> Any:
        asked.set()
        assert answers.wait(60)
        raise StepError("the attempt was ended", kind="cancelled")

    logs = SentLogs(written(tmp_path), ask, lambda _: None)
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(logs.run)
                while not asked.is_set():  # noqa: ASYNC110 - another thread sets it
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
    finally:
        answers.set()
