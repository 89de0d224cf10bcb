"""Workers in the simulated world: what they run goes on while the engine is dead, and some of them die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import msgspec

from aetherflow.engine.attempt_keys import attempts_in_flight
from aetherflow.engine.state import RunState
from aetherflow.errors import AttemptLost, StepError
from aetherflow.execution.ports import StepCall
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult

if TYPE_CHECKING:
    from tests.engine.simulation import World


LATE_WITH_END = 0.5
"""How probable it is that the late result of a lost attempt comes with the end of another one."""


class FarAttempt(msgspec.Struct):
    """An attempt on a worker: when it ends, and when its worker dies, if that comes first."""

    ends_at: float
    dies_at: float
    end: StepResult | StepError


class SimulatedWorkers:
    """The workers of a cluster, which outlive every execution of the run.

    Attributes:
        attempts: what the workers have, by key: attempts that run, or that ended and were not stored yet.
        begun: how often an attempt was begun, by key.
        joined: how many attempts went on after a resume.
        lost: how many attempts were lost.
        refused: how many late results of lost attempts were refused.
    """

    def __init__(self, world: World, *, losses: float) -> None:
        self._world = world
        self._losses = losses
        self.attempts: dict[str, FarAttempt] = {}
        self.begun: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.joined = 0
        self.lost = self.refused = 0

    def find(self, state: RunState) -> dict[tuple[str, str], str]:
        """Return the keys of the attempts of a run that workers still have, by step."""
        now = self._world.clock.monotonic()
        sought = {step: found.key for step, found in attempts_in_flight(state).items()}
        alive = {key for key, one in self.attempts.items() if min(one.ends_at, now) < one.dies_at}
        return {step: key for step, key in sought.items() if key in alive}

    def refuse(self, key: str) -> None:
        """End an attempt that does not go on."""
        del self.attempts[key]

    def placement(self, not_stored: Callable[[StepContext], str | None]) -> FarPlacement:
        """Return what runs the attempts of one execution; `not_stored` says what should be and is not."""
        return FarPlacement(self, self._world, not_stored)

    def chance(self) -> bool:
        """Whether something is lost now."""
        return self._world.chance.random() < self._losses


class FarPlacement:
    """Gives the attempts of one execution of the run to the workers."""

    def __init__(
        self, workers: SimulatedWorkers, world: World, not_stored: Callable[[StepContext], str | None]
    ) -> None:
        self._workers, self._world, self._not_stored = workers, world, not_stored
        self._leaves = False
        self._late: list[StepContext] = []

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Wait for a worker, then for the end of the attempt or for the death of its worker."""
        workers, world = self._workers, self._world
        name = f"{call.job_id}.{call.step_id} {call.attempt}"
        if not call.is_reattached:
            if call.key in workers.attempts:
                world.violations.append(f"{name} was given to a worker although one has it")
            await world.clock.sleep(world.chance.choice([0, 0, 0.5, 3]))
            if workers.chance():
                self._lose(f"{name}: its worker has died before")
            self._begin(call, context, name)
        workers.joined += call.is_reattached
        attempt = workers.attempts.get(call.key)
        if attempt is None:
            raise AttemptLost(f"{name}: no worker has it any more")
        context.on_placed("w", "h")
        try:
            await world.clock.sleep(min(attempt.ends_at, attempt.dies_at) - world.clock.monotonic())
        except anyio.get_cancelled_exc_class():
            world.note(f"leave {name}" if self._leaves else f"stop {name}")
            if not self._leaves:
                workers.attempts.pop(call.key, None)
            raise
        if attempt.dies_at < attempt.ends_at:
            del workers.attempts[call.key]
            self._late.append(context)
            self._lose(f"{name}: its worker has died")
        workers.taken[call.key] += 1
        if world.chance.random() < LATE_WITH_END:
            self._come_back()
        world.note(f"end {name}")
        if isinstance(attempt.end, StepError):
            raise attempt.end
        return attempt.end

    def stored(self, key: str) -> None:
        """Let the worker forget an attempt whose end is stored; others may come back then."""
        self._workers.attempts.pop(key, None)
        if key in self._workers.taken:
            self._come_back()

    def leave(self) -> None:
        """Let the workers keep what is cancelled from now on."""
        self._leaves = True

    def _come_back(self) -> None:
        """Let what was lost say how it ended, which is too late."""
        late, self._late = self._late, []
        for context in late:
            self._workers.refused += 1
            context.on_refused("w", "h", "the attempt was given up")

    def _lose(self, why: str) -> None:
        self._workers.lost += 1
        self._world.note(f"lost {why}")
        raise AttemptLost(why)

    def _begin(self, call: StepCall, context: StepContext, name: str) -> None:
        workers, world = self._workers, self._world
        if (wrong := self._not_stored(context)) is not None:
            world.violations.append(f"{name} began on a worker although {wrong}")
        workers.begun[call.key] += 1
        if workers.begun[call.key] > 1:
            world.violations.append(f"{name} began twice under one key")
        world.begun[call.job_id, call.step_id] += 1
        world.note(f"begin {name}")
        now, seconds = world.clock.monotonic(), float(call.inputs.get("seconds", 0))
        dies_at = now + world.chance.random() * seconds if workers.chance() and seconds else float("inf")
        end: StepResult | StepError = StepResult(outputs={"n": call.attempt})
        if world.begun[call.job_id, call.step_id] <= call.inputs.get("fails", 0):
            end = StepError("it broke", kind="connection")
        elif call.inputs.get("skips"):
            end = Skipped("nothing to do")
        workers.attempts[call.key] = FarAttempt(now + seconds, dies_at, end)
