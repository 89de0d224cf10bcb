"""Find the hooks of a plan: `on_exit` becomes the job `@on_exit`, an entry of `notify` `@notify-1`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.events.occasions import Occasion
from aetherflow.events.planned_jobs import HOOK, is_hook
from aetherflow.events.run_events import RunEnd
from aetherflow.plan.plan import JobPlan, Plan
from aetherflow.spec.messages import MessageStep

__all__ = ["HOOK", "OCCASIONS", "ending_of", "hooks_for", "is_hook"]

OCCASIONS: Mapping[RunEnd, frozenset[Occasion]] = {
    "FAILED": frozenset({"failure"}),
    "SUCCESS": frozenset({"recovery", "success"}),
    "CANCELLED": frozenset(),
}
"""What a run that ended so may be reported as; that a person cancelled it is no failure."""


def ending_of(job_id: str) -> int:
    """Return to which ending of the run a hook belongs: 1 for `@on_exit`, 2 for `@on_exit.2`."""
    return int(job_id.partition(".")[2] or 1)


def hooks_for(plan: Plan, status: RunEnd) -> list[JobPlan]:
    """Return the hooks that run when the jobs have ended so, in their order."""
    keys = {f"{HOOK}on_exit"}
    if status != "CANCELLED":
        keys.add(f"{HOOK}on_{'success' if status == 'SUCCESS' else 'failure'}")
    return [job for job in plan.hooks if job.id in keys or _reports(job, status)]


def _reports(job: JobPlan, status: RunEnd) -> bool:
    """Whether a hook is a message about runs that end so; whether it is due is decided when it begins."""
    spec = job.steps[0].spec
    return isinstance(spec, MessageStep) and not OCCASIONS[status].isdisjoint(spec.on)
