"""After a crash: the runs that a dead server left INTERRUPTED go on, or end, as their flows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState, apply
from aetherflow.errors import ErrorInfo, HeldByAnother
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.runs.run_request import RunRequest
from aetherflow.runs.run_ticket import RunReport, RunTicket
from aetherflow.runs.start_run import history_of
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.interrupted_runs import InterruptedRun, interrupted_runs
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run

MOST_RECOVERIES = 3
"""How often in a row a run is resumed whose server died in one of its steps: that may be what kills it."""

CRASHED = "AF658"
"""Code of a run that was ended because its server died."""


async def recovery_tickets(
    states: DatabasePool, path: Path, clock: Clock, *, priority: int = 0
) -> list[RunTicket]:
    """Return a ticket for each run of a server that died in this database.

    Several servers may each get all of them: the lease of the run decides who goes on with it.

    Raises:
        StateError: the database cannot be used.
    """
    async with states.use(path) as shared:
        runs = await shared.database.read(lambda raw: interrupted_runs(raw, clock.now()))
    return [_ticket(run, path, priority) for run in runs]


def _ticket(run: InterruptedRun, path: Path, priority: int) -> RunTicket:
    bundle = run.bundle
    return RunTicket(
        run_id=run.run_id,
        flow_file=Path(run.directory, run.flow_file) if bundle is None else Path(bundle.flow),
        bundle_manifest=None if bundle is None else Path(bundle.manifest),
        flow_job=run.selected_job,
        priority=priority,
        label=run.flow_id,
        state=path,
        is_recovery=True,
    )


async def end_as_failed(
    states: DatabasePool, checked: CheckedFlow, request: RunRequest, clock: Clock, *, at_least: int
) -> RunReport | None:
    """End an interrupted run FAILED if it was recovered that often already; None if it was not.

    Nothing of the flow runs, its ending steps neither.

    Raises:
        HeldByAnother: another process has the run, or it has ended meanwhile.
        StateError: the database cannot be used.
    """
    path = request.state or run_paths_of(checked, request.params).state
    async with states.use(path, checked.plan.flow.state.synchronous) as shared:
        claim = await claim_run(shared.database, request.run_id, this_process(), clock)
        try:
            state = history_of(claim, request.run_id)
            if not claim.history:
                return None  # it was claimed, and its server died before it began
            if state.phase != "RUNNING":
                raise HeldByAnother(
                    f"run {state.run_id} was left INTERRUPTED, but has ended {state.phase} meanwhile",
                    code="AF655",
                )
            if state.recoveries < at_least:
                return None
            if at_least:
                reason = f"its server died {state.recoveries + 1} times in a row while the run was executed"
            else:
                reason = "its server died while the run was executed (on_crash: fail)"
            events = _end(state, reason, clock)
            await shared.journal.of_run(claim.lease, claim.next_seq).append(events)
        finally:
            await release_run(shared.database, claim.lease, clock)
    return RunReport(request.run_id, "FAILED", 1, reason=reason, code=CRASHED)


def _end(state: RunState, reason: str, clock: Clock) -> list[e.Event]:
    """Return the events that end a run as it stands: what was running has failed, the rest never began."""
    events: list[e.Event] = []
    at, factory = clock.now(), EventFactory(clock, state.flow_id, state.run_id)
    hint = f"look what was done; then aetherflow runs retry {state.run_id} goes on with it"
    error = ErrorInfo(code=CRASHED, message=reason, hint=hint)

    def happen(kind: type[e.Event], **fields: Any) -> None:
        event = factory.make(kind, at=at, **fields)
        apply(state, event)
        events.append(event)

    for job_id, job in [(job_id, job) for job_id, job in state.jobs.items() if job.status == "RUNNING"]:
        for step_id, step in [(name, step) for name, step in job.steps.items() if step.status == "RUNNING"]:
            happen(
                e.StepFinished,
                job_id=job_id,
                step_id=step_id,
                step_type=step.step_type,
                status="FAILED",
                attempt=step.attempt,
                error=error,
            )
        happen(e.JobFinished, job_id=job_id, status="FAILED", reason=reason, error=error, outputs=job.outputs)
    seconds = round((at - (state.started_at or at)).total_seconds(), 3)
    jobs, steps = state.counts()
    happen(e.RunFinished, status="FAILED", reason=reason, jobs=jobs, steps=steps, duration_seconds=seconds)
    return events
