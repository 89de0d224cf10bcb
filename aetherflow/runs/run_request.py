"""A request for a run, by `aetherflow run`, `aetherflow runs retry`, a server or a program."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Origin
from aetherflow.plan.plan import Plan, downstream, upstream
from aetherflow.run_ids import MOST_CHARACTERS, is_run_id

NAMES_AT_MOST = 20
"""How many jobs a hint lists."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a new run is started with, or a known one resumed.

    Attributes:
        run_id: of a known run, which is resumed, or of a new one; empty: a new id.
        flow_job: the one job to run, with the jobs that it needs; empty: all.
        params: values by name; texts are converted to the declared types.
        params_folder: where a relative path among them starts; None: the working directory.
        rerun: jobs and steps that run again, with those that follow them.
        rerun_option: what a message calls that.
        only: the one job that runs again; `with_downstream` adds the jobs that follow it.
        state: the state database in which the run was found; by default the one of the flow.
        show_traces: whether a failed step is reported with its traceback.
        origin: who executes the run: a person's command, or a server, which recovers it after a crash.
        scheduled_at: the time that the run was scheduled for (`run.scheduled_at`, UTC); else when it starts.
        timezone: the zone of the run's dates if the flow names none; empty: UTC.
        item_timeout_seconds: the time limit of the schedule item, beside that of the flow.
        is_recovery: a server died while it executed the run, which is resumed only if it has not ended since.
        claimed_at: when that server claimed the run. If the run had ended before, the server died before it
            could resume it.
        traceparent, tracestate: the trace in which the run is started or resumed, as the environment has it;
            what is not valid is ignored.

    Raises:
        UsageError: the run id could name a folder that is not the run's own.
    """

    run_id: str = ""
    flow_job: str = ""
    params: dict[str, Any] = {}
    params_folder: Path | None = None
    rerun: tuple[str, ...] = ()
    rerun_option: str = "--rerun"
    only: str = ""
    with_downstream: bool = False
    state: Path | None = None
    show_traces: bool = False
    origin: Origin = ""
    scheduled_at: datetime | None = None
    timezone: str = ""
    item_timeout_seconds: float | None = None
    is_recovery: bool = False
    claimed_at: datetime | None = None
    traceparent: str = ""
    tracestate: str = ""

    def __post_init__(self) -> None:
        if self.run_id:
            check_run_id(self.run_id)

    @property
    def rerun_names(self) -> tuple[str, ...]:
        """The jobs and steps that run again with all that follows them."""
        return (self.only, *self.rerun) if self.only and self.with_downstream else self.rerun


def check_run_id(run_id: str) -> None:
    """Refuse a run id that could name a folder that is not the run's own.

    Raises:
        UsageError: it is empty, too long, or has other characters than the hint names.
    """
    if not is_run_id(run_id):
        hint = f"letters, digits, '.', '_', '-', ':' and '+', at most {MOST_CHARACTERS} characters"
        raise UsageError(f"{run_id!r} is not a run id", hint=hint)


def selected_jobs(plan: Plan, request: RunRequest) -> set[int] | None:
    """Return the numbers of the jobs that take part; None means all.

    Raises:
        UsageError: the flow does not have the job that was named.
    """
    wanted, option = (request.only, "--only") if request.only else (request.flow_job, "--flow-job")
    if not wanted:
        return None
    if wanted not in {job.id for job in plan.jobs}:
        names = ", ".join(job.id for job in plan.jobs[:NAMES_AT_MOST])
        raise UsageError(f"{option} {wanted}: the flow has no such job", hint=f"its jobs are {names}")
    if not request.only:
        return upstream(plan, [wanted])
    if request.with_downstream:
        return downstream(plan, [wanted])
    return {job.index for job in plan.jobs if job.id == wanted}
