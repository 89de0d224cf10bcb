"""What an attempt on a worker asks of the engine: effects, marks, locks, files, the package of its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_messages import (
    Ask,
    ConfirmEffect,
    GetPackage,
    IntendEffect,
    ReadMark,
    ReleaseLock,
    Reply,
    TakeLock,
)
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step_failure import failure_of
from aetherflow.task_errors import one_error

MOST_REQUESTS = 1000
"""How many questions of an attempt may wait for their answers at the same time."""


class _Lock:
    """A lock that the attempt takes, holds or has released.

    Attributes:
        released: set when the worker needs it no more.
        asked_by: the questions that are answered when it is released.
    """

    def __init__(self) -> None:
        self.released = anyio.Event()
        self.asked_by: list[int] = []


class WorkerQuestions:
    """Answers the questions of one attempt, in its name."""

    def __init__(
        self,
        context: StepContext,
        package_text: Callable[[str], str],
        files: WorkerFiles,
        *,
        send: Callable[[Reply], None],
        wrong: Callable[[str], None],
        on_lost_lock: Callable[[ErrorInfo], None],
    ) -> None:
        """Prepare.

        Args:
            context: what is asked is asked in its name.
            package_text: returns the package of a run by its id.
            files: answers what is asked about files.
            send: sends an answer.
            wrong: reports a question that must not be asked.
            on_lost_lock: called when a lock is lost that the attempt holds, with why.
        """
        self._context = context
        self._package_text = package_text
        self._files = files
        self._send = send
        self._wrong = wrong
        self._on_lost_lock = on_lost_lock
        self._tasks: anyio.abc.TaskGroup | None = None
        self._last_request = 0
        self._open_requests = 0
        self._locks: dict[int, _Lock] = {}

    async def answer_until(self, finished: anyio.Event) -> None:
        """Answer questions until the attempt is finished; then release its locks."""
        async with one_error() as tasks:
            self._tasks = tasks
            try:
                await finished.wait()
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def refuse(self, number: int, failure: ErrorInfo) -> None:
        """Answer a question that cannot be read; one of before is answered already."""
        if number > self._last_request:
            self._last_request = number
            self._send(Reply(number, error=failure))

    def ask(self, number: int, ask: Ask) -> None:
        """Take a question; it is answered by a task of its own."""
        if number <= self._last_request:
            self._wrong(f"asked question {number} twice, or after question {self._last_request}")
            return
        self._last_request = number
        if self._tasks is None:
            return  # the attempt ends: nobody waits for the answer
        if isinstance(ask, ReleaseLock):  # not among the others: they may all wait for locks
            if (lock := self._locks.get(ask.taken)) is None:
                self._send(Reply(number))  # it could not be taken, or was lost
                return
            lock.asked_by.append(number)
            lock.released.set()
        elif self._open_requests >= MOST_REQUESTS:
            error = unreadable(f"the attempt has asked {MOST_REQUESTS:,} questions that wait for an answer")
            self._send(Reply(number, error=error.info()))
        else:
            self._open_requests += 1
            if isinstance(ask, TakeLock):
                self._locks[number] = _Lock()
                self._tasks.start_soon(self._hold, number, ask)
            else:
                self._tasks.start_soon(self._answer_request, number, ask)

    async def _answer_request(self, number: int, ask: Ask) -> None:
        try:
            reply = Reply(number, await self._answer_to(ask))
        except Exception as error:  # noqa: BLE001 - it is the answer
            reply = Reply(number, error=failure_of(error, self._context.redactor)[0])
        finally:
            self._open_requests -= 1
        self._send(reply)

    async def _answer_to(self, ask: Ask) -> Any:
        """Return the answer to a question.

        Raises:
            Exception: what the service raises.
        """
        context, redactor = self._context, self._context.redactor
        match ask:
            case IntendEffect(key, detail):
                return await context.effects.intend(redactor.text(key), redactor.value(detail))
            case ConfirmEffect(key, result, verified):
                stored = redactor.value(result)
                return await context.effects.confirm(redactor.text(key), stored, verified=verified)
            case ReadMark(name):
                return await context.mark(name)
            case GetPackage(package):
                return self._package_text(package)
            case TakeLock() | ReleaseLock():
                raise AssertionError(ask)
            case _:
                return await self._files.answer(ask)

    async def _hold(self, number: int, ask: TakeLock) -> None:
        """Hold a lock until the worker releases it, or the attempt has ended."""
        lock, is_held = self._locks[number], False

        async def give_up() -> None:
            await lock.released.wait()
            if not is_held:
                waiting.cancel_scope.cancel()

        try:
            async with one_error() as waiting:
                waiting.start_soon(give_up)
                async with self._context.lock(
                    ask.key, ttl_seconds=ask.ttl_seconds, wait_seconds=ask.wait_seconds
                ):
                    is_held = True
                    self._send(Reply(number))
                    await lock.released.wait()
                waiting.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - the answer, or the reason to stop the attempt
            info, _ = failure_of(error, self._context.redactor)
            if is_held:
                self._on_lost_lock(info)
            else:
                self._send(Reply(number, error=info))
        finally:
            self._open_requests -= 1
            del self._locks[number]
        for asked in lock.asked_by:
            self._send(Reply(asked))


def unreadable(message: str) -> StepError:
    """Return the error of a message that cannot be read."""
    return StepError(
        message,
        hint="the worker runs another version of AetherFlow, or is not what it seems: restart it",
        code="AF884",
    )
