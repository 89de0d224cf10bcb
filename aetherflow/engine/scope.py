"""What templates and conditions see of a run: views on its state, nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from aetherflow.engine.frontier import WHOLE, Unit
from aetherflow.engine.state import JobState, RunState, StepState, is_hook

Resolve = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Puts the values of large outputs in the place of their references."""


def as_they_are(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return outputs of which none is stored elsewhere."""
    return outputs


class JobsView(Mapping[str, Any]):
    """`jobs`: every job of the flow as `{status, outputs}`; one that has not begun is PENDING."""

    def __init__(self, state: RunState, job_ids: Collection[str], resolve: Resolve = as_they_are) -> None:
        self._state = state
        self._job_ids = job_ids
        self._resolve = resolve

    def __getitem__(self, job_id: str) -> Any:
        if job_id not in self._job_ids:
            raise KeyError(job_id)
        job = self._state.job(job_id)
        return {"status": job.status, "outputs": self._resolve(job.outputs)}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._job_ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._job_ids)

    def __len__(self) -> int:
        return len(self._job_ids)


class StepsView(Mapping[str, Any]):
    """`steps`: the steps of one job, as their outputs with `outputs` and `status` beside them."""

    def __init__(self, job: JobState, resolve: Resolve = as_they_are) -> None:
        self._steps = job.steps
        self._resolve = resolve

    def __getitem__(self, step_id: str) -> Any:
        return step_view(self._steps[step_id], self._resolve)

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


class RunView(Mapping[str, Any]):
    """`run`: the run itself; its status is the outcome once the jobs have ended, RUNNING until then."""

    _keys = ("id", "started_at", "scheduled_at", "attempt", "status", "failed_jobs", "errors")

    def __init__(self, state: RunState, scheduled_at: str | None) -> None:
        self._state = state
        self._scheduled_at = scheduled_at

    def __getitem__(self, key: str) -> Any:
        state = self._state
        match key:
            case "id":
                return state.run_id
            case "started_at":
                return state.started_at.isoformat().replace("+00:00", "Z") if state.started_at else None
            case "scheduled_at":
                return self._scheduled_at or self["started_at"]
            case "attempt":
                return state.attempt
            case "status":
                return state.outcome or "RUNNING"
            case "failed_jobs":
                return [failure["job"] for failure in _failures(state)]
            case "errors":
                return _failures(state)
            case _:
                raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _failures(state: RunState) -> list[dict[str, str]]:
    """Return the failed jobs, each with the code and message of its error."""
    return [
        {
            "job": job_id,
            "code": job.error.code if job.error else "",
            "message": job.error.message if job.error else job.reason,
        }
        for job_id, job in state.jobs.items()
        if job.status == "FAILED" and not is_hook(job_id)
    ]


def step_view(step: StepState, resolve: Resolve = as_they_are) -> dict[str, Any]:
    """Return `steps.ID`: a step's outputs; its own keys win over `status`, `outputs` and `reason`."""
    outputs = resolve(step.outputs)
    return {"status": step.status, "outputs": outputs, "reason": step.reason, **outputs}


def run_scope(
    state: RunState,
    job_ids: Collection[str],
    env: Mapping[str, str],
    scheduled_at: str | None = None,
    resolve: Resolve = as_they_are,
) -> dict[str, Any]:
    """Return the names that hold in the whole run; what `when` and `for_each` see."""
    return {
        "env": env,
        "params": state.params,
        "jobs": JobsView(state, job_ids, resolve),
        "run_id": state.run_id,
        "flow_id": state.flow_id,
        "run": RunView(state, scheduled_at),
    }


def job_scope(
    names: Mapping[str, Any], state: RunState, unit: Unit, resolve: Resolve = as_they_are
) -> dict[str, Any]:
    """Return what the steps of a job see."""
    job = state.jobs[unit.id]
    own = {"id": unit.id, "outputs": resolve(job.outputs)}
    scope = {**names, "job": own, "steps": StepsView(job, resolve)}
    if unit.item != WHOLE:
        scope["item_index"] = unit.item
        scope["item"] = resolve({"items": state.jobs[unit.job.id].items})["items"][unit.item]
    return scope
