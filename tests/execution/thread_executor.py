"""An executor whose workers are threads of the tests: what passes between them and the engine is JSON."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from aetherflow.execution.worker_placement import WorkerPlacement, WorkersOfRun, worker_placement
from aetherflow.runs.run_package import RunPackage, encoded
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.executor import ExecutorAttempt, Needs, Place, Shipping, WorkerFacts
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepType
from aetherflow.worker.attempt import AttemptOnWorker
from aetherflow.worker.run_on_worker import open_run
from aetherflow.worker.runs_here import RunsHere
from tests.execution.live_run import ENVIRONMENT, RUN_ID

PLACE = Place("thread", "here")


class TypesOfThread:
    """The types of steps and connectors of a test."""

    def __init__(self, types: Sequence[StepType], connectors: Mapping[str, type[Connector]]) -> None:
        self._types = {one.name: one for one in types}
        self._connectors = connectors

    def step_type(self, name: str) -> StepType:
        """Return a step type."""
        return self._types[name]

    def step_version(self, name: str) -> str:
        """Return no version: none is compared."""
        assert name
        return ""

    def connector_class(self, name: str) -> type[Connector]:
        """Return the class of a connector."""
        return self._connectors[name]


class ThreadExecutor:
    """Implements `OpenExecutor`.

    Attributes:
        sent: what the workers have sent, all attempts.
        got: what they were sent.
        before: is given each message of a worker, and returns what passes in its place.
        attempts: the attempts on workers, in the order of their start.
        ships: how much is sent; None: the threads see the same folders.
    """

    def __init__(
        self,
        types: Sequence[StepType] | None,
        connectors: Mapping[str, type[Connector]] | None = None,
        ships: Shipping | None = None,
    ) -> None:
        """Take the types of a test; without them those count that are installed, and in plugin paths."""
        self.ships = ships
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.before: Callable[[bytes], list[bytes]] = lambda message: [message]
        self.attempts: list[AttemptOnWorker] = []
        self._types = None if types is None else TypesOfThread(types, connectors or {})
        self._runs = RunsHere()
        self._threads: list[threading.Thread] = []

    joins_within = 0.0

    @property
    def slots(self) -> int:
        """How many attempts run at once."""
        return 8

    async def run(self, attempt: ExecutorAttempt) -> None:
        """Run an attempt in a thread of its own."""
        loop = asyncio.get_running_loop()
        start = f"start {len(self.attempts) + 1}"

        def deliver(message: bytes) -> None:
            self.sent.append(message)
            for passed in self.before(message):
                attempt.deliver(start, passed, reply)

        def reply(message: bytes) -> None:
            self.got.append(message)
            there.receive(message)

        def send(message: bytes) -> None:
            with suppress(RuntimeError):  # the loop of the engine has ended
                loop.call_soon_threadsafe(deliver, message)

        there = AttemptOnWorker(
            attempt.key,
            PLACE,
            send,
            opens=partial(open_run, types=self._types, own=ENVIRONMENT),
            runs=self._runs,
        )
        thread = threading.Thread(target=there.run, name=start)
        self.attempts.append(there)
        self._threads.append(thread)
        thread.start()
        await attempt.ended()

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        """Find nothing: the threads end with the test."""
        assert keys
        return frozenset()

    async def workers(self) -> list[WorkerFacts]:
        """Return one worker."""
        return [WorkerFacts(PLACE, self.slots)]

    async def ask(self, question: bytes) -> dict[str, bytes]:
        """Ask nobody."""
        assert question
        return {}

    async def check(self) -> list[CheckResult]:
        """Check nothing."""
        return []

    async def aclose(self) -> None:
        """Stop what still runs, and wait for the threads."""
        for attempt in self.attempts:
            attempt.stop("the test is over")
        for thread in self._threads:
            await anyio.to_thread.run_sync(thread.join)


@asynccontextmanager
async def on_threads(
    executor: ThreadExecutor,
    services: Callable[[], RunServices],
    package: RunPackage | None = None,
    **more: Any,
) -> AsyncIterator[WorkerPlacement]:
    """Open a placement whose workers are threads; `services` returns those of the run when it has begun."""
    text = encoded(package or RunPackage(flow_id="demo", run_id=RUN_ID))
    run = WorkersOfRun(
        executor=executor,
        package_id=f"{RUN_ID} 1",
        package_text=lambda: text,
        needs_of=lambda _: Needs(),
        announce=lambda event: services().announce(event),
        conceal=lambda call: call,
        **more,
    )
    try:
        async with worker_placement(run) as placement:
            yield placement
    finally:
        with anyio.CancelScope(shield=True):
            await executor.aclose()
