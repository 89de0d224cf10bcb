"""End attempts of an earlier process of a run that workers still have, and that nobody wants any more."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.worker_messages import Begin, End, FromEngine, FromWorker, Refuse, Stop
from aetherflow.sdk.executor import Needs, OpenExecutor, Send
from aetherflow.task_errors import one_error

STOP_SECONDS = 15.0
"""How long a worker may take to end such an attempt; then it only learns that the attempt does not count."""

WHY = "the resumed run does not continue this attempt"

_decoder = msgspec.json.Decoder(FromWorker)


class RefusedAttempt:
    """Implements `ExecutorAttempt` for an attempt that must end: whatever it returns is refused."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.needs = Needs()
        self._refused = anyio.Event()
        self._replies: dict[str, Send] = {}

    async def ended(self) -> None:
        """Return when the worker has ended the attempt, and knows that it does not count."""
        await self._refused.wait()

    def deliver(self, start: str, message: bytes, reply: Send) -> None:
        """Stop the attempt, and refuse its result."""
        self._replies[start] = reply
        try:
            decoded = _decoder.decode(message)
        except (msgspec.DecodeError, UnicodeError):
            return  # what it says does not matter
        match decoded:
            case Begin(has_begun=True):
                _send(reply, Stop(WHY))
            case Begin() | End():
                self.refuse()

    def refuse(self) -> None:
        """Say that the attempt does not count, to each start that has been heard of."""
        for reply in self._replies.values():
            _send(reply, Refuse(WHY))
        self._refused.set()


async def refuse_attempts(executor: OpenExecutor, keys: Collection[str]) -> None:
    """End these attempts, which the executor has found; return when they have ended, or after a while."""
    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(_refuse, executor, RefusedAttempt(key))


async def _refuse(executor: OpenExecutor, attempt: RefusedAttempt) -> None:
    async def give_up() -> None:
        await anyio.sleep(STOP_SECONDS)
        attempt.refuse()

    with suppress(StepError):  # its worker is gone, and the attempt with it
        async with one_error() as tasks:
            tasks.start_soon(give_up)
            await executor.run(attempt)
            tasks.cancel_scope.cancel()


def _send(reply: Send, message: FromEngine) -> None:
    reply(msgspec.json.encode(message))
