"""After a server crash, find the runs it left INTERRUPTED, and end those that must not be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState, apply
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.runs.resolved_run import ResolvedRun
from aetherflow.runs.run_ticket import RunReport, RunTicket
from aetherflow.runs.start_run import refuse_ended
from aetherflow.runs.stored_run import stored_run
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.interrupted_runs import interrupted_runs
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run

MOST_RECOVERIES = 3
"""How often in a row a run is resumed whose server died in one of its steps: the run may be the cause."""

CRASHED = "AF658"
"""Code of a run that was ended because its server died."""


async def recovery_tickets(states: DatabasePool, path: Path, clock: Clock) -> list[RunTicket]:
    """Return a ticket for each run of a server that died in this database.

    Several servers may each get all of them: the lease of the run decides which one resumes it.

    Raises:
        StateError: the database cannot be used.
    """
    async with states.use(path) as shared:
        runs = await shared.database.read(lambda raw: interrupted_runs(raw, clock.now()))
    return [_ticket(run, path) for run in runs]


def _ticket(run: e.RunStarted | e.RunResumed, path: Path) -> RunTicket:
    bundle = run.bundle
    return RunTicket(
        run_id=run.run_id,
        flow_file=Path(run.directory, run.flow_file) if bundle is None else Path(bundle.flow),
        bundle_manifest=None if bundle is None else Path(bundle.manifest),
        flow_job=run.selected_job,
        label=run.flow_id,
        state=path,
        is_recovery=True,
    )


async def was_left(states: DatabasePool, run: ResolvedRun) -> bool:
    """Whether the server of a run left it when it stopped (`on_stop: resume`), and did not die.

    Raises:
        StateError: the database cannot be used, or the history of the run contradicts itself.
    """
    async with states.use(run.state, run.checked.plan.flow.state.synchronous) as shared:
        stored = await stored_run(shared.database, run.run_id)
    return stored.state.cancelling == "stop"


async def end_as_failed(
    states: DatabasePool, run: ResolvedRun, clock: Clock, *, at_least: int
) -> RunReport | None:
    """End an interrupted run FAILED if it was recovered so many times already; return None if it was not.

    Nothing of the flow runs, not even its hooks.

    Raises:
        RunInUse: another process executes the run, or has ended it meanwhile.
        StateError: the database cannot be used.
    """
    async with states.use(run.state, run.checked.plan.flow.state.synchronous) as shared:
        claim = await claim_run(shared.database, run.run_id, this_process(), clock)
        try:
            stored = await stored_run(shared.database, run.run_id)
            if stored.is_new:
                return None  # its server died between the claim and the first event
            refuse_ended(run, stored)
            state = stored.state
            if state.phase != "RUNNING" or state.recoveries < at_least:
                return None
            if at_least:
                reason = f"its server died {state.recoveries + 1} times in a row while the run was executed"
            else:
                reason = "its server died while the run was executed (on_crash: fail)"
            events = _end(state, reason, clock)
            await shared.journal.of_run(claim.lease, claim.next_seq).commit(events)
        finally:
            await release_run(shared.database, claim.lease, clock)
    return RunReport(run.run_id, "FAILED", 1, reason=reason, code=CRASHED)


def _end(state: RunState, reason: str, clock: Clock) -> list[e.Event]:
    """Return the events that end a run now: running jobs and steps have failed, the others do not start."""
    events: list[e.Event] = []
    at, factory = clock.now(), EventFactory(clock, state.flow_id, state.run_id)
    hint = f"check what was done, then resume it: aetherflow runs retry {state.run_id}"
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
    jobs, instances, steps = state.counts()
    happen(
        e.RunFinished,
        status="FAILED",
        reason=reason,
        jobs=jobs,
        instances=instances,
        steps=steps,
        duration_seconds=seconds,
        stale=state.stale,
    )
    return events
