"""Find the hooks of a plan: `on_success`, `on_failure` and `on_exit` become jobs like `@on_exit`. Pure."""

from __future__ import annotations

from aetherflow.events.run_events import RunEnd
from aetherflow.plan.plan import JobPlan, Plan

HOOK = "@"
"""First character of the job ids of `@on_success`, `@on_failure` and `@on_exit`: no job of a flow has it."""


def is_hook(job_id: str) -> bool:
    """Whether a job id names a hook."""
    return job_id.startswith(HOOK)


def ending_of(job_id: str) -> int:
    """Return to which ending of the run a hook belongs: 1 for `@on_exit`, 2 for `@on_exit.2`."""
    return int(job_id.partition(".")[2] or 1)


def hooks_for(plan: Plan, status: RunEnd) -> list[JobPlan]:
    """Return the hooks that run when the jobs have ended so, in their order."""
    keys = {f"{HOOK}on_exit"}
    if status != "CANCELLED":
        keys.add(f"{HOOK}on_{'success' if status == 'SUCCESS' else 'failure'}")
    return [job for job in plan.hooks if job.id in keys]
