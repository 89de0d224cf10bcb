"""Describe the jobs and steps of a flow, as the journal stores them. Imports nothing of aetherflow.

A run is shown and explained from its events alone, also when its flow file has changed or is gone.
"""

from __future__ import annotations

import msgspec

HOOK = "@"
"""First character of the job ids of hooks, such as `@on_failure` and `@notify-1`: no job of a flow has it."""


def is_hook(job_id: str) -> bool:
    """Whether a job id names a hook."""
    return job_id.startswith(HOOK)


class PlannedStep(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A step of the flow.

    Attributes:
        line: where it is in the flow file, from 1; 0 if unknown.
        pool: the pool whose slots it needs, if any.
    """

    id: str
    type: str
    line: int = 0
    pool: str = ""


class PlannedJob(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A job of the flow, or the steps of a hook as the job `@on_failure` and so on.

    Attributes:
        steps: its steps in order.
        line: where it is in the flow file, from 1; 0 if unknown.
        needs: the jobs that must have succeeded before it (`depends_on`).
        after: the jobs that must have ended before it, since it refers to them.
        max_parallel: how many of its instances may run at the same time; 0: no limit of its own.
        is_mapped: it has an instance for each item (`for_each`).
    """

    id: str
    steps: list[PlannedStep] = []
    line: int = 0
    needs: list[str] = []
    after: list[str] = []
    max_parallel: int = 0
    is_mapped: bool = False
