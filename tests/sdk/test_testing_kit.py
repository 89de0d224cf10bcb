"""The kit for tests of plugins does what a run does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import anyio
import msgspec
import pytest

from aetherflow import Connector, Resource, StepContext, StepError, connector, step
from aetherflow.errors import InvalidInput
from aetherflow.testing import FakeClock, FakeRun, MemoryLocks, run_flow, run_step

pytestmark = pytest.mark.asyncio


class CountInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    times: int = 1


@step("kit_count")
def count(context: StepContext, inputs: CountInput) -> dict[str, Any]:
    """Count the lines of a file."""
    context.log(f"counting {inputs.path}")
    return {"lines": len(context.path(inputs.path).read_text().splitlines()) * inputs.times, "at": Path("a")}


class QueueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


@connector("kit:folder")
class Queue(Connector):
    """A folder."""

    config_type: ClassVar[type[QueueConfig]] = QueueConfig

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        return cls(Path(resource.config_as(QueueConfig).path))

    async def aclose(self) -> None:
        """Nothing is open."""


@step("kit_send")
async def send(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Send a text once."""
    queue = await context.connector("q")
    assert isinstance(queue, Queue)
    async with context.lock("q", ttl_seconds=5), context.effect("send") as effect:
        if not effect.done:
            with (queue.path / "sent").open("a") as file:
                file.write(str(inputs["text"]))
            effect.result = {"bytes": len(str(inputs["text"]))}
    if inputs.get("fail"):
        raise StepError("after it was sent", kind="connection")
    return dict(effect.result)


async def test_a_step_runs_alone_with_inputs_as_a_flow_writes_them(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.context().artifacts.joinpath("a.txt").write_text("one\ntwo\n")
    result = await run_step(count, {"path": "a.txt", "times": "2"}, run)
    assert (result.status, result.outputs) == ("SUCCESS", {"lines": 4, "at": "a"})
    assert run.logged == ["counting a.txt"]


async def test_inputs_that_do_not_fit_are_refused_as_in_a_run(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="unknown field `pth`"):
        await run_step(count, {"pth": "a"}, tmp_path)


async def test_a_second_attempt_finds_the_effects_of_the_first(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, connectors={"q": Queue(tmp_path)})
    with pytest.raises(StepError, match="after it was sent"):
        await run_step(send, {"text": "hi", "fail": True}, run)
    again = await run_step(send, {"text": "hi"}, run)
    assert again.outputs == {"bytes": 2}
    assert (tmp_path / "sent").read_text() == "hi"
    assert [one.is_confirmed for one in run.effects.values()] == [True]


async def test_runs_that_share_locks_compete_for_them(tmp_path: Path) -> None:
    locks = MemoryLocks()
    one, other = (FakeRun(tmp_path / name, locks=locks).context() for name in ("a", "b"))
    async with one.lock("k"):
        assert locks.held == {"k": "job.step"}
        with pytest.raises(StepError, match=r"held by job\.step"):
            async with other.lock("k"):
                pass


async def test_secrets_are_masked_and_a_resource_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, secrets=["hunter2"])
    run.context().log("the password is hunter2")
    assert "hunter2" not in run.logged[0]
    with pytest.raises(StepError, match="no resource 'q'"):
        await run.context().connector("q")


FLOW = """
version: 1
flow: {id: kit}
resources:
  q: {kind: kit, driver: folder, config: {path: "."}}
jobs:
  - id: a
    steps:
      - {id: s, type: kit_send, inputs: {text: hi, fail: %s}}
"""


async def test_a_flow_runs_with_the_steps_and_connectors_of_the_test_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kit: dict[str, Any] = {"steps": [send], "connectors": {"kit:folder": Queue}, "run_id": "r"}
    failed = await run_flow(FLOW % "true", tmp_path, **kit)
    assert failed.status == "FAILED"
    error = failed.step("a.s").error
    assert error is not None
    assert error.message == "after it was sent"
    done = await run_flow(FLOW % "false", tmp_path, **kit)
    assert (done.status, done.step("a.s").outputs) == ("SUCCESS", {"bytes": 2})
    assert (tmp_path / "sent").read_text() == "hi", "the resumed run did not send it again"
    assert done.state.exists()
    with pytest.raises(KeyError):
        done.step("a.nothing")


async def test_a_flow_that_is_not_valid_is_refused_with_its_diagnostics(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown step type 'kit_send'"):
        await run_flow(FLOW % "false", tmp_path, connectors={"kit:folder": Queue})


async def test_time_passes_only_by_sleeping_or_by_hand() -> None:
    clock = FakeClock()
    began = clock.now()
    await clock.sleep(60)
    clock.advance(1)
    assert ((clock.now() - began).total_seconds(), clock.monotonic(), clock.sleeps) == (61, 61, [60])

    clock = FakeClock(by_hand=True)
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, 10)
        tasks.start_soon(sleep, 20)
        await anyio.wait_all_tasks_blocked()
        for seconds, expected in ((9, []), (1, [10]), (10, [10, 20])):
            clock.advance(seconds)
            await anyio.wait_all_tasks_blocked()
            assert woken == expected


async def test_chance_is_the_same_in_every_test() -> None:
    one, other = FakeClock(seed=1), FakeClock(seed=1)
    assert (one.random(), one.new_id()) == (other.random(), other.new_id())


async def test_a_step_may_be_tested_as_of_a_date(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, scheduled_at="2026-01-31T23:30:00Z", run_date="2026-02-01")
    assert (run.context().scheduled_at, run.context().run_date) == ("2026-01-31T23:30:00Z", "2026-02-01")
