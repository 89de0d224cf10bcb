"""What the engine answers to workers: effects, marks, and locks: taken, refused, released, lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from aetherflow import Mark, StepResult
from aetherflow.errors import StepError
from aetherflow.execution.worker_messages import (
    Answer,
    ConfirmEffect,
    End,
    GetPackage,
    IntendEffect,
    ReadMark,
    ReleaseLock,
    Request,
    TakeLock,
)
from aetherflow.execution.worker_questions import MOST_REQUESTS
from aetherflow.sdk.lock_wait import OnLockWait, report_to_nobody
from aetherflow.testing import FakeRun
from tests.execution.worker_script import Script, followed

DONE = End(Answer(StepResult(outputs={"n": 1})))


class LocksOfTest:
    """Locks that a test gives, refuses and loses.

    Attributes:
        held: the keys of the locks that are held.
        lose: set it, and the holder loses its lock.
        free: set it, and who waits gets the lock.
        refusal: raised instead of giving a lock.
    """

    def __init__(self, *, is_free: bool = True) -> None:
        self.held: list[str] = []
        self.lose = anyio.Event()
        self.free = anyio.Event()
        self.refusal: Exception | None = None
        if is_free:
            self.free.set()

    def hold(
        self,
        key: str,
        *,
        ttl_seconds: float,
        wait_seconds: float,
        job_id: str,
        step_id: str,
        on_wait: OnLockWait = report_to_nobody,
    ) -> AbstractAsyncContextManager[None]:
        """Hold a lock."""
        assert (job_id, step_id, on_wait) == ("a", "s", report_to_nobody)
        assert (ttl_seconds, wait_seconds) == (60, 5)
        return self._hold(key)

    @asynccontextmanager
    async def _hold(self, key: str) -> AsyncIterator[None]:
        if self.refusal is not None:
            raise self.refusal
        await self.free.wait()
        self.held.append(key)
        lost = False
        try:
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    nonlocal lost
                    await self.lose.wait()
                    lost = True
                    tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self.held.remove(key)
        if lost:
            raise StepError("the lock was lost", code="AF621")


def take(key: str = "k") -> TakeLock:
    """Return a question for a lock."""
    return TakeLock(key, 60, 5)


@pytest.mark.asyncio
async def test_effects_and_marks_are_those_of_the_run(tmp_path: Path) -> None:
    script = Script(tmp_path, FakeRun(tmp_path, secrets=["s3cret-word"]))
    script.kit.marks["orders"] = Mark.of(7)
    async with followed(script) as start:
        assert await start.ask(1, IntendEffect("upload", {"to": "s3cret-word"})) is None
        known = script.kit.effects["a", "s", "upload"]
        assert (known.detail, known.is_confirmed) == ({"to": "***"}, False)
        await start.ask(2, ConfirmEffect("upload", {"bytes": 3}, verified=True))
        assert script.kit.effects["a", "s", "upload"].is_confirmed
        read = msgspec.convert(await start.ask(3, ReadMark("orders")), Mark)
        assert read == Mark.of(7)
        assert await start.ask(4, ReadMark("other")) is None
        assert (await start.ask(5, ReadMark(""))).code


@pytest.mark.asyncio
async def test_a_question_that_comes_twice_is_answered_once(tmp_path: Path) -> None:
    script = Script(tmp_path)
    async with followed(script) as start:
        await start.ask(2, GetPackage("p"))
        start.say(Request(2, GetPackage("p")), Request(1, GetPackage("p")), Request(-5, GetPackage("p")))
        await start.ask(3, GetPackage("p"))
    assert start.kinds == ["Go", "Reply", "Reply"]
    assert script.codes == ["AF884"] * 3


@pytest.mark.asyncio
async def test_questions_without_end_are_refused(tmp_path: Path) -> None:
    locks = LocksOfTest(is_free=False)
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    async with followed(script) as start:
        start.say(*(Request(number, take()) for number in range(1, MOST_REQUESTS + 1)))
        assert (await start.ask(MOST_REQUESTS + 1, take())).code == "AF884"
        start.say(DONE)
        with anyio.fail_after(30):
            await script.attempt.finished.wait()


@pytest.mark.asyncio
async def test_a_lock_is_held_from_its_taking_to_its_release(tmp_path: Path) -> None:
    locks = LocksOfTest()
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    async with followed(script) as start:
        assert await start.ask(1, take("one")) is None
        assert await start.ask(2, take("two")) is None
        assert locks.held == ["one", "two"]
        assert await start.ask(3, ReleaseLock(1)) is None
        assert locks.held == ["two"]  # the answer comes when it is free
        assert await start.ask(4, ReleaseLock(1)) is None
        assert await start.ask(5, ReleaseLock(77)) is None


@pytest.mark.asyncio
async def test_the_end_of_an_attempt_releases_its_locks(tmp_path: Path) -> None:
    locks = LocksOfTest()
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(script.attempt.follow)
            await anyio.lowlevel.checkpoint()
            start = script.start()
            start.begin()
            await start.ask(1, take())
            start.say(DONE)
    assert locks.held == []


@pytest.mark.asyncio
async def test_a_lock_that_is_refused_is_an_error_for_the_worker_only(tmp_path: Path) -> None:
    locks = LocksOfTest()
    locks.refusal = StepError("held by another", code="AF620")
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    async with followed(script) as start:
        error = await start.ask(1, take())
        assert (error.code, error.message) == ("AF620", "held by another")
        assert await start.ask(2, ReleaseLock(1)) is None
    assert "Stop" not in start.kinds


@pytest.mark.asyncio
async def test_a_wait_for_a_lock_can_be_given_up(tmp_path: Path) -> None:
    locks = LocksOfTest(is_free=False)
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    async with followed(script) as start:
        start.say(Request(1, take()))
        assert await start.ask(2, ReleaseLock(1)) is None
        locks.free.set()
        await anyio.lowlevel.checkpoint()
        assert locks.held == []


@pytest.mark.asyncio
async def test_a_lost_lock_stops_the_attempt_with_that_error(tmp_path: Path) -> None:
    locks = LocksOfTest()
    script = Script(tmp_path, FakeRun(tmp_path, locks=locks))
    async with followed(script) as start:
        await start.ask(1, take())
        locks.lose.set()
        with anyio.fail_after(30):
            while "Stop" not in start.kinds:
                await anyio.lowlevel.checkpoint()
        start.say(End(Answer()))
    assert (await script.outcome()).code == "AF621"
