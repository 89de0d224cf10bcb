"""A run without an engine, for tests of steps: real folders, everything else in memory.

Its contexts work as in a real run: paths, locks, connectors, effects, log, progress, masking.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableSequence, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState
from aetherflow.errors import ErrorInfo, StepError
from aetherflow.events.marks import Mark
from aetherflow.events.masking import masked
from aetherflow.events.run_events import EffectConfirmed, Event, Notice, StepOutput
from aetherflow.execution.local_placement import call_step
from aetherflow.execution.step_effects import StepEffects
from aetherflow.execution.step_marks import StepMarks
from aetherflow.ports import EffectState
from aetherflow.redaction import Redactor
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.marks import MemoryMarks
from aetherflow.sdk.pools import NO_POOLS, Pools
from aetherflow.sdk.services import Locks, RunServices
from aetherflow.sdk.step import StepResult, StepType
from aetherflow.sdk.workspace import Workspace
from aetherflow.testing.fake_clock import FakeClock
from aetherflow.testing.memory_locks import MemoryLocks

E = TypeVar("E", bound=Event)

THREADS = 8


class FakeRun:
    """A run without an engine, whose steps a test calls one by one.

    Args:
        folder: the folder for the files of the run.
        env: the environment of the run; default: only PATH.
        connectors: open connectors by the names of their resources; the run does not close them.
        steps: step types that a step may run with `run_nested_step`.
        secrets: values to mask in everything that is shown or stored.
        clock: default: a `FakeClock`.
        locks: default: a new `MemoryLocks`.
        pools: default: no pools.
        zip_drivers: the archive drivers that may be used; None: all.
        flow_id: the id of the flow.
        run_id: the id of the run.
        execution: how many times the run has been started or resumed, including now.
        scheduled_at: the time for which it was scheduled (RFC 3339).
        run_date: its date (ISO 8601).

    Attributes:
        events: the events shown to observers, in order.
        effects: the effects of its steps, by job id, step id and key; a later context of the same step
            finds them, as a retry or a resumed run would.
        marks: the high-water marks of its flow by name; `run_step` moves them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        connectors: Mapping[str, Connector] | None = None,
        steps: Sequence[StepType] = (),
        secrets: Sequence[str] = (),
        clock: Clock | None = None,
        locks: Locks | None = None,
        pools: Pools = NO_POOLS,
        zip_drivers: frozenset[str] | None = None,
        flow_id: str = "flow",
        run_id: str = "run-1",
        execution: int = 1,
        scheduled_at: str = "",
        run_date: str = "",
    ) -> None:
        self.events: MutableSequence[Event] = []
        self.effects: dict[tuple[str, str, str], EffectState] = {}
        stored = MemoryMarks()
        self.marks: dict[str, Mark] = stored.stored
        self.clock = clock or FakeClock()
        self.redactor = Redactor(secrets)
        self._steps = {one.name: one for one in steps}
        self.services = RunServices(
            flow_id=flow_id,
            run_id=run_id,
            env={"PATH": os.environ.get("PATH", os.defpath)} if env is None else env,
            clock=self.clock,
            redactor=self.redactor,
            workspace=Workspace(folder / "work", flow_id, run_id),
            log_directory=folder / "logs",
            connectors=_OpenConnectors(connectors or {}),
            locks=locks or MemoryLocks(),
            nested_step=self._call_nested,
            announce=self._announce,
            threads=anyio.CapacityLimiter(THREADS),
            zip_drivers=zip_drivers,
            execution=execution,
            scheduled_at=scheduled_at,
            run_date=run_date,
            pools=pools,
            marks=stored,
        )

    def context(
        self, *, job_id: str = "job", step_id: str = "step", step_type: str = "step", attempt: int = 1
    ) -> StepContext:
        """Return the context of one attempt of a step."""
        return StepContext(
            self.services,
            job_id=job_id,
            step_id=step_id,
            step_type=step_type,
            attempt=attempt,
            effects=_memory_effects(self.effects, job_id, step_id),
            marks=StepMarks(RunState(), self.services.marks, {}, job_id, step_id),
        )

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind that were shown to observers."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def logged(self) -> list[str]:
        """The messages that steps wrote to the log."""
        return [notice.message for notice in self.of(Notice)]

    def lines(self, stream: str = "stdout") -> list[str]:
        """Return the lines that programs of steps wrote to a stream."""
        return [line.text for line in self.of(StepOutput) if line.stream == stream and not line.is_unfinished]

    def _announce(self, event: Event) -> None:
        self.events.append(masked(event, self.redactor))

    async def _call_nested(self, context: StepContext, inputs: dict[str, Any]) -> StepResult:
        if context.step_type not in self._steps:
            raise StepError(
                f"unknown step type {context.step_type!r}", hint="give it to FakeRun: steps=[...]"
            )
        return await call_step(context, self._steps[context.step_type], inputs)


class _OpenConnectors:
    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = connectors

    async def get(self, name: str, user: object = None) -> Connector:
        del user
        if name not in self._connectors:
            raise StepError(f"there is no resource {name!r}", hint="give it to FakeRun: connectors={...}")
        return self._connectors[name]

    def knows(self, name: str) -> bool:
        return name in self._connectors

    async def release(self, user: object) -> list[ErrorInfo]:
        del user
        return []


def _memory_effects(
    effects: dict[tuple[str, str, str], EffectState], job_id: str, step_id: str
) -> StepEffects:
    """Return the effects of an attempt of one step, which stores them in memory."""
    known = {key: state for (*step, key), state in effects.items() if step == [job_id, step_id]}

    async def store(kind: type[Event], *, key: str, **fields: Any) -> None:
        is_confirmed = kind is EffectConfirmed
        detail = known[key].detail if is_confirmed else fields["detail"]
        known[key] = EffectState(detail, is_confirmed=is_confirmed, result=fields.get("result", {}))
        effects[job_id, step_id, key] = known[key]

    return StepEffects(known, store)
