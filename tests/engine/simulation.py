"""A deterministic world for the real executor: virtual time, scripted steps, a journal that may fail.

Time moves only when every task waits: then the sleeper with the earliest deadline wakes. Chance comes from
one seed, so a simulation can be run again and gives the same trace, byte for byte.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal, NoReturn

import anyio
import anyio.lowlevel
import msgspec

from aetherflow.engine.machine import RunMachine, in_process
from aetherflow.engine.resume import plan_resume
from aetherflow.engine.state import DONE, RunState, StepState, apply, fold, step_entry
from aetherflow.errors import StateError, StepError
from aetherflow.events import run_events as e
from aetherflow.execution.bus import Bus
from aetherflow.execution.executor import Executor
from aetherflow.plan.plan import Plan
from aetherflow.redaction import Redactor
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import Skipped, StepResult, StepType
from aetherflow.sdk.workspace import Workspace
from tests.engine.scripted_machine import RUN_ID, START
from tests.engine.simulated_workers import SimulatedWorkers

Fault = Literal["nothing is stored", "stored but not acknowledged"]


class VirtualClock:
    """Time that passes only while everybody waits."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._seconds = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._slept = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def random(self) -> float:
        return self._chance.random()

    def new_id(self) -> str:
        return f"{self._chance.getrandbits(48):012x}"

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        self._slept += 1
        sleeper = (self._seconds + seconds, self._slept, anyio.Event())
        heapq.heappush(self._sleepers, sleeper)
        try:
            await sleeper[2].wait()
        except anyio.get_cancelled_exc_class():
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)
            raise

    async def pass_time(self) -> None:
        """Wake one sleeper after another, each time when all tasks are blocked; return when nobody sleeps."""
        while True:
            await all_tasks_blocked()
            if not self._sleepers:
                return
            self._seconds, _, wake = heapq.heappop(self._sleepers)
            wake.set()


async def all_tasks_blocked() -> None:
    """Return when no other task can continue.

    What `anyio.wait_all_tasks_blocked` waits for, without its pauses of 0.1 s: nothing but this task is in
    the loop's queue of what is ready. Nothing here waits for threads, files or the machine's time.
    """
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # there is no public way to ask
    while True:
        await asyncio.sleep(0)
        if not ready:
            return


class Disk:
    """A journal in memory that takes a moment to commit and may fail at one of its appends."""

    def __init__(self, world: World, stored: Sequence[e.Event], fail_at: int, fault: Fault) -> None:
        self.stored = list(stored)
        self.appends = 0
        self._world = world
        self._fail_at = fail_at
        self._fault = fault

    async def commit(self, events: Sequence[e.Event]) -> None:
        self.appends += 1
        number = self.appends
        await self._world.clock.sleep(self._world.chance.choice([0, 0.001, 0.02]))
        if number == self._fail_at:
            if self._fault == "stored but not acknowledged":
                self.stored += events
            self._world.is_broken = True
            raise StateError("the disk is full", code="AF602")
        self.stored += events
        self._world.note(f"commit {len(events)}")


class _Unused:
    """Stands for what no scripted step touches."""

    async def get(self, name: str, user: object = None) -> NoReturn:
        raise AssertionError(name, user)

    def knows(self, name: str) -> NoReturn:
        raise AssertionError(name)

    async def release(self, user: object) -> list[Any]:  # noqa: ARG002  as the port has it
        """Close what the attempt alone has open: nothing."""
        return []

    def hold(self, key: str, **_: Any) -> AbstractAsyncContextManager[None]:
        raise AssertionError(key)

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> StepResult:
        raise AssertionError(context.step_id, inputs)


class Does(msgspec.Struct, frozen=True):
    """What a scripted step does: works for a while, then succeeds, skips, or fails the first few times."""

    seconds: float = 0
    fails: int = 0
    skips: bool = False


class World:
    """What outlives an execution of a run: the disk, what the steps did outside, the trace of it all."""

    def __init__(self, plan: Plan, seed: int, *, limit: int, losses: float | None = None) -> None:
        """Make a world; with `losses` steps run on workers, and so many attempts of one are lost."""
        self.plan = plan
        self.chance = Random(seed)  # noqa: S311 - reproducible, that is the point
        self.clock = VirtualClock(self.chance)
        self.limit = limit
        self.trace: list[str] = []
        self.begun: Counter[tuple[str, str]] = Counter()
        self.done_for_good: set[tuple[str, str]] = set()
        self.violations: list[str] = []
        self.is_broken = False
        self.disk = Disk(self, (), 0, "nothing is stored")
        self.workers = None if losses is None else SimulatedWorkers(self, losses=losses)

    def note(self, line: str) -> None:
        """Write a line into the trace; what a broken run still does is in no particular order."""
        if not self.is_broken:
            self.trace.append(f"{self.clock.monotonic():.6f} {line}")

    async def execute(
        self, *, fail_at: int = 0, fault: Fault = "nothing is stored", cancel_at: float | None = None
    ) -> RunState:
        """Execute the run once, on top of what is stored, and return its state in memory.

        Raises:
            StateError: the disk failed, as the test wants.
        """
        self.is_broken = False
        self.disk = Disk(self, self.disk.stored, fail_at, fault)
        state = fold(self.disk.stored)
        self.done_for_good = {
            (job_id, step_id)
            for job_id, job in state.jobs.items()
            for step_id, step in job.steps.items()
            if step.status in DONE
        }
        beginning = self._beginning(state)
        apply(state, beginning)
        types = {
            step.spec.type: StepType(step.spec.type, self._step, Does)
            for job in (*self.plan.jobs, *self.plan.hooks)
            for step in job.steps
        }
        plan = msgspec.structs.replace(self.plan, step_types=types)
        placements = {}
        if self.workers is not None:
            placements = {"far": self.workers.placement(self._what_is_not_stored)}
        machine = RunMachine(
            plan,
            state,
            env={},
            clock=self.clock,
            limit=self.limit,
            executor_of=(lambda _job, _step: "far") if placements else in_process,
        )
        bus = Bus(self.disk, self.clock)
        executor = Executor(machine, bus, self._services(bus), placements=placements)
        try:
            async with self._passing_time(executor) as others:
                if cancel_at is not None:
                    others.start_soon(self._cancel, executor, cancel_at)
                await executor.run([beginning])
        finally:
            assert self.violations == []
        return state

    @asynccontextmanager
    async def _passing_time(self, executor: Executor) -> AsyncIterator[anyio.abc.TaskGroup]:
        """Let time pass during the block; an error of the block passes on as it is."""
        failure: StateError | None = None
        passing = anyio.CancelScope(shield=True)  # a cancelled run needs time to end, too

        async def pass_time() -> None:
            with passing:
                await self.clock.pass_time()
                self.violations.append("every task waits and nobody will ever wake up")
                executor.fail(StateError("given up"))

        async with anyio.create_task_group() as others:
            others.start_soon(pass_time)
            try:
                yield others
            except StateError as error:
                failure = error
            finally:
                passing.cancel()
            others.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _cancel(self, executor: Executor, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.note("cancel")
        executor.cancel("enough")

    def _beginning(self, state: RunState) -> e.Event:
        if not self.disk.stored:
            return e.RunStarted(at=self.clock.now(), flow_id="f", run_id=RUN_ID, flow_file="f", owner="me")
        found = {} if self.workers is None else self.workers.find(state)
        resume = plan_resume(self.plan, state, found=found)
        for step, key in found.items():
            if self.workers is not None and step_entry(*step) not in resume.reattached:
                self.workers.refuse(key)
        return e.RunResumed(
            at=self.clock.now(),
            flow_id="f",
            run_id=RUN_ID,
            attempt=state.attempt + 1,
            owner="me",
            **resume.event_fields(),
        )

    def _services(self, bus: Bus) -> RunServices:
        nowhere = Path("/nowhere")
        return RunServices(
            flow_id="f",
            run_id=RUN_ID,
            env={},
            clock=self.clock,
            redactor=Redactor(),
            workspace=Workspace(nowhere, "f", RUN_ID),
            log_directory=nowhere,
            connectors=_Unused(),
            locks=_Unused(),
            nested_step=_Unused(),
            announce=bus.announce,
            threads=anyio.CapacityLimiter(1),
        )

    async def _step(self, context: StepContext, does: Does) -> StepResult:
        """Do what the script says, once what must be stored before is seen to be stored."""
        name = f"{context.job_id}.{context.step_id}"
        if (wrong := self._what_is_not_stored(context)) is not None:
            self.violations.append(
                f"{name} began although {wrong}"
            )  # raised here it would only fail the step
        self.begun[context.job_id, context.step_id] += 1
        self.note(f"begin {name} {context.attempt}")
        try:
            await self.clock.sleep(does.seconds)
        except anyio.get_cancelled_exc_class():
            self.note(f"stop {name}")
            raise
        self.note(f"end {name}")
        if self.begun[context.job_id, context.step_id] <= does.fails:
            raise StepError("it broke", kind="connection")
        return Skipped("nothing to do") if does.skips else StepResult(outputs={"n": context.attempt})

    def _what_is_not_stored(self, context: StepContext) -> str | None:
        """Return what should be stored before an attempt begins and is not."""
        where = context.job_id, context.step_id
        if where in self.done_for_good:
            return "it was done for good"
        state = fold(self.disk.stored)
        step = state.job(context.job_id).steps.get(context.step_id, StepState())
        if (step.status, step.attempt) != ("RUNNING", context.attempt):
            return f"what is stored is {step.status} in attempt {step.attempt}"
        job = next(job for job in self.plan.jobs if job.id == context.job_id.partition("[")[0])
        needs = {self.plan.jobs[need].id: state.job(self.plan.jobs[need].id).status for need in job.needs}
        return None if set(needs.values()) <= {"SUCCESS"} else f"what it needs is stored as {needs}"
