"""A run with real parts: a flow from text, a state database, a bus, an executor; only its steps are ours."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.engine.machine import RunMachine, in_process
from aetherflow.engine.resume import plan_resume
from aetherflow.engine.state import RunState, apply, fold
from aetherflow.events import run_events as e
from aetherflow.events.masking import masked
from aetherflow.execution.bus import Bus
from aetherflow.execution.executor import Executor
from aetherflow.execution.output_files import OutputFiles
from aetherflow.execution.ports import Placement
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.ports import DurableSubscriber
from aetherflow.sdk.pools import NO_POOLS, Pools
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.load import load_flow
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, read_events
from aetherflow.store.marks import MarkTable
from aetherflow.store.named_locks import LockTable
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import RunClaim, claim_run, release_run
from aetherflow.testing import FakeRun, Recorder

RUN_ID = "run-1"
ENVIRONMENT = {"HOME": "/nowhere"}
Steps = Sequence[StepType] | Mapping[str, Callable[..., Any]]


class LiveRun:
    """What a test sees of the run that it executes."""

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        executor: Executor,
        bus: Bus,
        services: RunServices,
        claim: RunClaim,
        database: Database,
    ) -> None:
        self.plan = plan
        self.state = state
        self.executor = executor
        self.bus = bus
        self.services = services
        self.claim = claim
        self.database = database
        self.seen = Recorder()
        self.ended = anyio.Event()
        self.beginning: e.Event

    async def run(self) -> RunState:
        """Execute the run to its end, watched."""
        async with anyio.create_task_group() as observing:
            self.bus.subscribe(observing, "recorder", self.seen, when_full="wait")
            failure: Exception | None = None
            try:
                await self.executor.run([self.beginning])
            except Exception as error:  # noqa: BLE001 - raised again outside of the group
                failure = error
            finally:
                self.ended.set()
                await self.bus.aclose()
        if failure is not None:
            raise failure
        return self.state

    def step(self, name: str) -> Any:
        """Return the state of a step, given as `job.step`."""
        job_id, _, step_id = name.partition(".")
        return self.state.jobs[job_id].steps[step_id]


def plan_of_file(text: str, folder: Path) -> Plan:
    """Write a flow, load it and plan it; it has no errors."""
    file = folder / "flow.yaml"
    file.write_text(text)
    loaded = load_flow(file)
    diagnostics = DiagnosticSink(loaded.document)
    plan = build_plan(loaded, diagnostics)
    assert [d for d in diagnostics.diagnostics if d.severity == "error"] == []
    return plan


def step_types(steps: Steps) -> dict[str, StepType]:
    """Return these step types by name; a plain function becomes one."""
    if isinstance(steps, Mapping):
        return {name: step(name)(function) for name, function in steps.items()}
    return {kind.name: kind for kind in steps}


@asynccontextmanager
async def live(
    text: str,
    folder: Path,
    steps: Steps,
    *,
    clock: Clock | None = None,
    secrets: Sequence[str] = (),
    limit: int = 8,
    most_ahead: int = 0,
    threads: int = 12,
    params: Mapping[str, Any] | None = None,
    durable: Callable[[DurableSubscriber], DurableSubscriber] = lambda journal: journal,
    show_traces: bool = False,
    placement: Placement | None = None,
    has_output_files: bool = False,
    rerun: Sequence[str] = (),
    pools: Pools = NO_POOLS,
    found: Collection[tuple[str, str]] = (),
    more_services: Mapping[str, Any] | None = None,
) -> AsyncIterator[LiveRun]:
    """Take up the run of a flow in `folder`, new or again; `await run()` executes it.

    `more_services` are fields of `RunServices`.
    """
    clock = clock or SystemClock()
    types = step_types(steps)
    plan = msgspec.structs.replace(plan_of_file(text, folder), step_types=types)
    database = await Database.open(folder / "state.sqlite", "normal")
    owner = this_process()
    claim = await claim_run(database, RUN_ID, owner, clock)
    state = fold(await database.read(lambda raw: read_events(raw, RUN_ID)))
    beginning: e.Event
    if state.event_count:
        resumption = plan_resume(plan, state, rerun, found=found)
        beginning = e.RunResumed(
            at=clock.now(),
            flow_id=plan.flow_id,
            run_id=RUN_ID,
            attempt=state.attempt + 1,
            owner=str(owner),
            **resumption.event_fields(),
        )
    else:
        beginning = e.RunStarted(
            at=clock.now(),
            flow_id=plan.flow_id,
            run_id=RUN_ID,
            flow_file=plan.file,
            owner=str(owner),
            params=dict(params or {}),
        )
    apply(state, beginning)
    bus = Bus(durable(Journal(database).of_run(claim.lease, claim.next_seq)), clock)
    large = OutputFiles(folder / "logs" / RUN_ID) if has_output_files else None
    kit = FakeRun(
        folder,
        env=ENVIRONMENT,
        steps=list(types.values()),
        secrets=secrets,
        clock=clock,
        locks=LockTable(database, clock, owner, plan.flow_id, RUN_ID),
        flow_id=plan.flow_id,
        run_id=RUN_ID,
        pools=pools,
    )
    redactor = kit.redactor
    services = msgspec.structs.replace(
        kit.services,
        announce=lambda event: bus.announce(masked(event, redactor)),
        threads=anyio.CapacityLimiter(threads),
        large_outputs=large,
        marks=MarkTable(database, plan.flow_id),
        **(more_services or {}),
    )
    machine = RunMachine(
        plan,
        state,
        env=services.env,
        clock=clock,
        limit=limit,
        most_ahead=most_ahead,
        redact=redactor.value,
        large=large,
        executor_of=in_process if placement is None else lambda _job, _step: "far",
    )
    placements = {} if placement is None else {"far": placement}
    executor = Executor(machine, bus, services, placements=placements, show_traces=show_traces)
    run = LiveRun(plan, state, executor, bus, services, claim, database)
    run.beginning = beginning
    try:
        yield run
    finally:
        with anyio.CancelScope(shield=True):
            if database.path.exists():
                await release_run(database, claim.lease, clock)
            await database.aclose()


def query(folder: Path, sql: str, *values: object) -> list[Any]:
    """Ask the state database through a connection of its own."""
    raw = sqlite3.connect(folder / "state.sqlite")
    try:
        return raw.execute(sql, values).fetchall()
    finally:
        raw.close()


def stored(folder: Path) -> list[str]:
    """Return the history that is in the file: `event` or `event job.step status`."""
    rows = query(
        folder,
        "SELECT event, job_id, step_id, json_extract(payload, '$.status') FROM events ORDER BY seq",
    )
    return [
        " ".join(filter(None, [event, ".".join(filter(None, [job, step_id])), status]))
        for event, job, step_id, status in rows
    ]


def flow(*jobs: str, head: str = "") -> str:
    """Return a flow file of these jobs, each given as a YAML flow mapping."""
    lines = ["version: 1", f"flow: {{id: demo{', ' + head if head else ''}}}", "jobs:"]
    return "\n".join([*lines, *(f"  - {job}" for job in jobs)]) + "\n"


def one_step(kind: str = "t", *, inputs: str = "{}", more: str = "", job: str = "") -> str:
    """Return a flow of one job `a` with one step `s`."""
    steps = f"[{{id: s, type: {kind}, inputs: {inputs}{', ' + more if more else ''}}}]"
    return flow(f"{{id: a, {job + ', ' if job else ''}steps: {steps}}}")
