"""Hooks: the steps of `on_success`, `on_failure` and `on_exit`, as jobs of their own. Pure."""

from __future__ import annotations

HOOK = "@"
"""First character of the job ids of `@on_success`, `@on_failure` and `@on_exit`: no job of a flow has it."""


def is_hook(job_id: str) -> bool:
    """Whether a job id names the ending steps of a flow."""
    return job_id.startswith(HOOK)


def ending_of(job_id: str) -> int:
    """Return which ending of the run a hook belongs to: 1 for `@on_exit`, 2 for `@on_exit.2`."""
    return int(job_id.partition(".")[2] or 1)
