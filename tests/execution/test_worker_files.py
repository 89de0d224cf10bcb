"""What a worker may do with files of the engine: write the logs of its attempt, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import ListInputs, OpenLog, WriteLog
from aetherflow.execution.ports import Directories, StepCall
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_logs import WorkerLogs

pytestmark = pytest.mark.asyncio


def call(root: Path) -> StepCall:
    return StepCall(
        step_type="t",
        version="1",
        inputs={},
        flow_id="f",
        run_id="r",
        job_id="j",
        step_id="s",
        attempt=2,
        execution=1,
        idempotency_key="k",
        environment="e",
        directories=Directories(str(root / "work"), str(root / "logs"), {"artifacts": "artifacts"}),
    )


async def test_a_log_arrives_at_its_offset_and_may_arrive_twice(tmp_path: Path) -> None:
    logs = WorkerLogs(tmp_path / "logs", "s", 2, "private")
    file = tmp_path / "logs" / "s.2.log"
    assert await logs.open(OpenLog("s.2.log")) == 0
    for offset, data in ((0, b"one\n"), (4, b"two\n"), (4, b"two\n"), (8, b"three")):
        await logs.write(WriteLog("s.2.log", offset, data))
    assert file.read_bytes() == b"one\ntwo\nthree"
    assert file.stat().st_mode & 0o777 == 0o600
    assert await logs.open(OpenLog("s.2.log")) == len(
        b"one\ntwo\nthree\n"
    )  # a line of another execution ends
    with pytest.raises(StepError, match="missing"):
        await logs.write(WriteLog("s.2.log", 15, b"x"))


@pytest.mark.parametrize(
    "name", ["../s.2.log", "s.1.log", "t.2.log", "s./../x.2.log", "s.2.log\n", "", "/s.2.log"]
)
async def test_a_worker_writes_only_the_logs_of_its_attempt(tmp_path: Path, name: str) -> None:
    logs = WorkerLogs(tmp_path / "logs", "s", 2, "private")
    with pytest.raises(StepError, match="log file") as raised:
        await logs.open(OpenLog(name))
    assert raised.value.code == "AF846"
    assert not (tmp_path / "logs").exists()


async def test_the_steps_within_a_step_have_logs_too(tmp_path: Path) -> None:
    files = WorkerFiles(call(tmp_path))
    assert await files.answer(OpenLog("s.after.2.log")) == 0
    assert (tmp_path / "logs" / "r" / "j" / "s.after.2.log").exists()


async def test_no_files_are_sent_to_a_worker_that_sees_them(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="shared") as raised:
        await WorkerFiles(call(tmp_path)).answer(ListInputs())
    assert raised.value.code == "AF846"
