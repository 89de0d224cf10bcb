"""The fencing tokens of attempts: keys by which a resumed run finds its attempts on workers. Pure."""

from __future__ import annotations

from typing import NamedTuple

from aetherflow.engine.state import RunState


def attempt_key(state: RunState, job_id: str, step_id: str) -> str:
    """Return the key of the last attempt of a step, which has begun.

    It is made of what is durable before a worker gets the attempt, so a resumed run computes the same key.
    No other attempt has it: the number of the event that began the attempt occurs once in a run, also after
    `--rerun`. A run of the same id in another state database has another time of start.
    """
    step = state.jobs[job_id].steps[step_id]
    started = state.started_at.strftime("%Y%m%dT%H%M%S%f") if state.started_at else ""
    return f"{state.run_id}/{job_id}/{step_id}/{step.attempt}/{step.began}.{started}"


class AttemptInFlight(NamedTuple):
    """An attempt that was given to an executor and whose end nobody knows."""

    executor: str
    key: str


def attempts_in_flight(state: RunState) -> dict[tuple[str, str], AttemptInFlight]:
    """Return the attempts that workers may still have when a run is resumed, by job id and step id."""
    return {
        (job_id, step_id): AttemptInFlight(step.executor, attempt_key(state, job_id, step_id))
        for job_id, job in state.jobs.items()
        for step_id, step in job.steps.items()
        if step.status == "RUNNING" and step.executor
    }
