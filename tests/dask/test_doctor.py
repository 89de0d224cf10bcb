"""`aetherflow doctor --executor`: what the workers offer, and what differs from this machine."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import msgspec
import pytest

from aetherflow.admin import executor_checks
from aetherflow.execution.clocks import SayTime, Time
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.executor import Place, WorkerFacts
from aetherflow.worker.questions import answer_of_worker
from tests.cli.command_line import OK, CommandLine

PROJECT = "version: 1\nexecutors:\n  dask: {workers: 1, threads: 3, labels: [big], resources: {SFTP: 2}}\n"


def test_the_workers_of_a_cluster_are_shown(cli: CommandLine) -> None:
    cli.write("aetherflow.yaml", PROJECT)
    cli.write("flow.yaml", OK)

    result = cli.run("doctor", "flow.yaml", "--executor", "dask", "--json")

    assert result.code == 0, result.err
    found = {one["subject"]: one for one in json.loads(result.out)["results"]}
    assert found["executor dask"]["message"] == "1 worker on 1 host; 3 steps at once"
    offer = found["worker worker-1"]["message"]
    assert "; 3 steps at once; label big, SFTP: 2; AetherFlow " in offer
    assert found["executor dask: encryption"]["state"] == "ok"
    assert found["executor dask: latency"]["message"].endswith(" ms")
    assert found["executor dask: files"]["message"].startswith("all workers see ")


def test_a_cluster_that_does_not_answer_is_an_error(cli: CommandLine) -> None:
    cli.write(
        "aetherflow.yaml",
        "version: 1\nexecutors:\n  dask: {address: 'tcp://127.0.0.1:9', connect_within: 1}\n",
    )

    result = cli.run("doctor", "--executor", "dask")

    assert result.code == 2
    assert (
        "error    executor dask: [AF883] the Dask cluster at tcp://127.0.0.1:9 cannot be used: " in result.out
    )


def test_the_executor_must_be_one_with_workers(cli: CommandLine) -> None:
    local = cli.run("doctor", "--executor", "local")
    unknown = cli.run("doctor", "--executor", "desk")

    assert (local.code, unknown.code) == (2, 2)
    assert "--executor local: that is this process" in local.err
    assert "error    executor desk: [AF832] there is no executor 'desk'" in unknown.out


class Double:
    """An open executor whose workers have other versions and a wrong clock."""

    ships = None

    def __init__(self, facts: WorkerFacts, seconds: float) -> None:
        self.facts, self.seconds = facts, seconds

    async def workers(self) -> list[WorkerFacts]:
        return [self.facts]

    async def ask(self, question: bytes) -> dict[str, bytes]:
        assert msgspec.json.decode(question, type=SayTime) == SayTime()
        return {"w": msgspec.json.encode(Time(time.time() + self.seconds))}

    async def check(self) -> list[CheckResult]:
        return [CheckResult("encryption", "warning", "there is none")]


def test_what_differs_is_an_error_and_a_wrong_clock_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_checks, "SETTLE_SECONDS", 0.01)

    async def see(*_: Any) -> None:
        return None

    monkeypatch.setattr(executor_checks, "check_shared_folders", see)
    facts = WorkerFacts(Place("w", "far", 7), 1, python="3.9.1", aetherflow="0.0.1")
    double: Any = Double(facts, -3600)

    async def work() -> list[CheckResult]:
        folders: Any = executor_checks.Folders(None, "", "private")  # type: ignore[arg-type]
        return await executor_checks._look("executor x", "x", double, folders)

    found = [(one.state, one.subject, one.message) for one in anyio.run(work)]

    assert found[0] == ("ok", "executor x", "1 worker on 1 host; 1 step at once")
    errors = [message for state, subject, message in found if (state, subject) == ("error", "worker w")]
    assert [message.partition(" instead of ")[0] for message in errors][:2] == [
        "Python 3.9.1",
        "AetherFlow 0.0.1",
    ]
    assert ("warning", "executor x: encryption", "there is none") in found
    (clock,) = [message for state, _, message in found if state == "warning" and "clock" in message]
    assert clock.startswith("its clock differs by -3")


def test_a_worker_says_its_time() -> None:
    before = time.time()
    said = msgspec.json.decode(answer_of_worker(msgspec.json.encode(SayTime())), type=Time)

    assert before <= said.seconds <= time.time()
