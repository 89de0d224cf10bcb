"""An attempt of the engine whose worker is the test itself: it sends what it likes, in any order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.execution.ports import Directories, StepCall
from aetherflow.execution.worker_attempt import WorkerAttempt
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_messages import Begin, FromEngine, FromWorker, Reply, Request, Work
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import ExecutorAttempt, Needs, Place
from aetherflow.testing import FakeRun

PLACE = Place("w1", "far")
KEY = "run-1/a/s/1/3"


def call_of(folder: Path, **fields: Any) -> StepCall:
    """Return a call of a step whose files are below a folder."""
    values: dict[str, Any] = {
        "step_type": "t",
        "version": "",
        "inputs": {},
        "flow_id": "flow",
        "run_id": "run-1",
        "job_id": "a",
        "step_id": "s",
        "attempt": 1,
        "execution": 1,
        "idempotency_key": "run-1/a/s",
        "key": KEY,
        "environment": "",
        "directories": Directories(str(folder / "work"), str(folder / "logs"), {"artifacts": "artifacts"}),
    }
    return StepCall(**{**values, **fields})


class Start:
    """A start of the attempt on some worker.

    Attributes:
        got: what the engine has sent to it.
    """

    def __init__(self, attempt: ExecutorAttempt, name: str) -> None:
        self._attempt = attempt
        self._name = name
        self.got: list[FromEngine] = []

    def say(self, *messages: FromWorker) -> None:
        """Send messages."""
        for message in messages:
            self.say_raw(msgspec.json.encode(message))

    def say_raw(self, data: bytes) -> None:
        """Send bytes."""
        self._attempt.deliver(self._name, data, self._take)

    def begin(self, *, has_begun: bool = False) -> None:
        """Ask whether it may begin."""
        self.say(Begin(PLACE, has_begun=has_begun))

    async def ask(self, number: int, ask: Any) -> Any:
        """Ask a question; return the answer, or the error."""
        self.say(Request(number, ask))
        return await self.reply_to(number)

    async def reply_to(self, number: int) -> Any:
        """Return the answer to a question when it has come, or the error."""
        with anyio.fail_after(30):
            while True:
                for message in self.got:
                    if isinstance(message, Reply) and message.id == number:
                        return message.value if message.error is None else message.error
                await anyio.sleep(0.001)

    @property
    def kinds(self) -> list[str]:
        """The kinds of messages that it has got."""
        return [type(message).__name__ for message in self.got]

    def _take(self, data: bytes) -> None:
        self.got.append(msgspec.json.decode(data, type=FromEngine))


class Script:
    """An attempt, what it is about, and what it reported.

    Attributes:
        reports: code and text of what was reported.
        placed: where the attempt was placed.
        refused: the results that were refused: worker, host and why.
    """

    def __init__(self, folder: Path, kit: FakeRun | None = None, **call: Any) -> None:
        self.kit = kit or FakeRun(folder)
        self.reports: list[tuple[str, str]] = []
        self.placed: list[tuple[str, str]] = []
        self.refused: list[tuple[str, str, str]] = []
        known = self.kit.context(job_id="a", step_id="s", step_type="t")
        self.context = StepContext(
            self.kit.services,
            job_id="a",
            step_id="s",
            step_type="t",
            effects=known.effects,
            marks=known.marks,
            on_placed=lambda worker, host: self.placed.append((worker, host)),
            on_refused=lambda *facts: self.refused.append(facts),
        )
        work = Work(call=call_of(folder, **call), package="p")
        self.attempt = WorkerAttempt(
            work,
            self.context,
            needs=Needs(),
            package_text=lambda package: f"the package {package}",
            files=WorkerFiles(work.call),
            report=lambda message, code: self.reports.append((code, message)),
        )

    def start(self, name: str = "s1") -> Start:
        """Return a start of the attempt."""
        return Start(self.attempt, name)

    @property
    def codes(self) -> list[str]:
        """The codes of what was reported."""
        return [code for code, _ in self.reports]

    async def outcome(self) -> Any:
        """Return what the attempt returned or failed with, as the engine stores it."""
        try:
            return await self.attempt.result()
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            info = getattr(error, "info", None)
            return info() if info else ErrorInfo("", repr(error))


@asynccontextmanager
async def followed(script: Script) -> AsyncIterator[Start]:
    """Let the engine follow an attempt during a block, whose worker has begun it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(script.attempt.follow)
        await anyio.lowlevel.checkpoint()
        start = script.start()
        start.begin()
        yield start
        tasks.cancel_scope.cancel()
