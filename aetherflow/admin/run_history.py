"""What is stored about one run: its jobs, steps, attempts, waits, resumes, and what started it."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec
from msgspec.structs import replace

from aetherflow.engine.transitions import INTERRUPTED
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.planned_jobs import PlannedJob
from aetherflow.events.run_events import RunResumed, RunStarted
from aetherflow.store import queries as rows
from aetherflow.store.alerts import Alert
from aetherflow.store.firings import Firing
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import AttemptRow, EffectRow, JobRow, PlaceRow, RefusedRow, StepRow, WaitRow
from aetherflow.store.run_list import ListedRun, listed
from aetherflow.store.run_rows import RunRow


class RunHistory(msgspec.Struct, frozen=True):
    """A run with its jobs and steps, its repeated attempts and its resumes.

    If the run is INTERRUPTED, so are its jobs and steps that were running; none waits for anything any more.

    Attributes:
        resumes: the events of its resumes.
        retries: the attempts that were repeated.
        bundle: the bundle that its flow was last read from, if any.
        waits: how steps waited for pools and locks.
        places: where the attempts ran that were given to executors.
        plan: the jobs of the flow as the last execution read it; empty for a run of an earlier version.
        stale: the results that are older than what they had read: by reader, what it had read.
        definition: the fingerprint of the flow as the last execution read it.
        resume_from: what a resume must run again as well (`on_stale: fail`).
        secrets: the parameters that a resume must be given again: secret ones whose values are not the
            flow's own.
        executor: what `--executor` of the last execution named; empty: nothing.
        refused: the results of attempts that did not count any more.
    """

    run: ListedRun
    jobs: list[JobRow]
    steps: list[StepRow]
    resumes: list[RunResumed] = []
    retries: list[AttemptRow] = []
    bundle: BundleUse | None = None
    effects: list[EffectRow] = []
    waits: list[WaitRow] = []
    plan: list[PlannedJob] = []
    stale: dict[str, list[str]] = {}
    definition: str = ""
    resume_from: list[str] = []
    secrets: list[str] = []
    places: list[PlaceRow] = []
    executor: str = ""
    refused: list[RefusedRow] = []

    @property
    def resumed_at(self) -> str:
        """When the last execution began; empty if the run was not resumed."""
        return timestamp(self.resumes[-1].at) if self.resumes else ""

    @property
    def interrupted(self) -> list[str]:
        """The steps (`job.step`) that were running when the process of the run died."""
        return [f"{step.job_id}.{step.step_id}" for step in self.steps if step.status == INTERRUPTED]


class RunFacts(msgspec.Struct, frozen=True):
    """What is stored about a run: its history, the firing that started it, and what was late about that.

    Attributes:
        served_for: the time for which a server started it, if its firing is in another database.
        is_report: whether a server started it to report something: `on_late` or `notify` of a scheduler file.
    """

    history: RunHistory
    firing: Firing | None = None
    alerts: list[Alert] = []
    served_for: str = ""
    is_report: bool = False


def _of_dead_run(step: StepRow) -> StepRow:
    if step.status == "RUNNING":
        return replace(step, status=INTERRUPTED)
    if step.status == "PENDING" and step.reason:
        return replace(step, reason="the process of the run died while it waited")
    return step


def read_history(raw: sqlite3.Connection, run: RunRow, now: datetime) -> RunHistory:
    """Return what is stored about a run."""
    run_id = run.run_id
    starts = rows.beginnings_of(raw, run_id)
    resumes = [event for event in starts if isinstance(event, RunResumed)]
    jobs, steps = rows.jobs_of(raw, run_id), rows.steps_of(raw, run_id)
    if run.status == INTERRUPTED:
        jobs = [replace(job, status=INTERRUPTED) if job.status == "RUNNING" else job for job in jobs]
        steps = list(map(_of_dead_run, steps))
    bundle = starts[-1].bundle if starts else None
    return RunHistory(
        listed(raw, run, now),
        jobs,
        steps,
        [replace(event, plan=[]) for event in resumes],  # the last one is the plan
        rows.retries_of(raw, run_id),
        bundle,
        rows.effects_of(raw, run_id),
        rows.waits_of(raw, run_id),
        starts[-1].plan if starts else [],
        rows.stale_of(raw, run_id),
        starts[-1].definition if starts else "",
        rows.resume_from_of(raw, run_id),
        [name for event in starts if isinstance(event, RunStarted) for name in event.secrets],
        rows.places_of(raw, run_id),
        starts[-1].executor if starts else "",
        rows.refused_of(raw, run_id),
    )
