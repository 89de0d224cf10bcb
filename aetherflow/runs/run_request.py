"""What a run was asked for: by `aetherflow run`, by `aetherflow runs retry`, by a program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Origin
from aetherflow.plan.plan import Plan, downstream, upstream

RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
NAMES_TOLD = 20


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `aetherflow run` was asked for.

    Attributes:
        rerun: jobs and steps that run again, with what follows them.
        rerun_option: what a message calls that.
        only: the one job that runs again; `with_downstream` adds the jobs that follow it.
        state: the state database in which the run was found; else the flow says where it is.
        origin: who executes the run: a person's command, or a server, which looks after it when it crashes.
        scheduled_at: the instant that a new run stands for (RFC 3339); else when it starts.
        is_recovery: a server died with the run; it goes on only if nobody else has ended it meanwhile.

    Raises:
        UsageError: the run id could name a folder that is not the run's own.
    """

    run_id: str = ""
    flow_job: str = ""
    params: dict[str, Any] = {}
    rerun: tuple[str, ...] = ()
    rerun_option: str = "--rerun"
    only: str = ""
    with_downstream: bool = False
    state: Path | None = None
    show_traces: bool = False
    origin: Origin = ""
    scheduled_at: str = ""
    is_recovery: bool = False

    def __post_init__(self) -> None:
        if self.run_id and (not RUN_ID.fullmatch(self.run_id) or not self.run_id.strip(".")):
            hint = "letters, digits, '.', '_' and '-', at most 128 characters"
            raise UsageError(f"{self.run_id!r} is not a run id", hint=hint)

    @property
    def rerun_names(self) -> tuple[str, ...]:
        """What runs again with all that follows it."""
        return (self.only, *self.rerun) if self.only and self.with_downstream else self.rerun


def selected(plan: Plan, request: RunRequest) -> set[int] | None:
    """Return the jobs that take part; None means all.

    Raises:
        UsageError: the flow does not have the job that was named.
    """
    wanted, option = (request.only, "--only") if request.only else (request.flow_job, "--flow-job")
    if not wanted:
        return None
    if wanted not in {job.id for job in plan.jobs}:
        names = ", ".join(job.id for job in plan.jobs[:NAMES_TOLD])
        raise UsageError(f"{option} {wanted}: the flow has no such job", hint=f"its jobs are {names}")
    if not request.only:
        return upstream(plan, [wanted])
    if request.with_downstream:
        return downstream(plan, [wanted])
    return {job.index for job in plan.jobs if job.id == wanted}
