"""The scope of templates and conditions: what they can read of a run, as views without copies. Pure."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal

from aetherflow.engine.ready_queue import WHOLE, JobInstance
from aetherflow.engine.state import JobState, RunState, StepState, plan_job_id
from aetherflow.events.run_events import StoredItems
from aetherflow.language.dates import day_in, utc_text
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import RUN_KEYS

Resolve = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Replaces the references to large outputs by their values."""


def same_outputs(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return outputs unchanged, for a run without large outputs."""
    return outputs


FAILURES_LISTED = 20
"""How many failed jobs `run.failed_jobs` and `run.errors` name: they must fit into a command line."""

MESSAGE_CHARACTERS = 1000
"""How many characters of each error message `run.errors` has."""


class JobsView(Mapping[str, Any]):
    """`jobs`: every job of the flow as `{status, outputs}`; one that has not begun is PENDING."""

    def __init__(self, state: RunState, job_ids: Collection[str], resolve: Resolve = same_outputs) -> None:
        self._state = state
        self._job_ids = job_ids
        self._resolve = resolve

    def __getitem__(self, job_id: str) -> Any:
        if job_id not in self._job_ids:
            raise KeyError(job_id)
        job = self._state.job(job_id)
        return {"status": job.status, "outputs": _outputs(job, self._resolve)}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._job_ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._job_ids)

    def __len__(self) -> int:
        return len(self._job_ids)


class StepsView(Mapping[str, Any]):
    """`steps`: the steps of one job, as their outputs with `outputs` and `status` beside them."""

    def __init__(self, job: JobState, resolve: Resolve = same_outputs) -> None:
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

    def __init__(self, state: RunState, scheduled_at: str | None) -> None:
        self._state = state
        self._scheduled_at = scheduled_at

    def __getitem__(self, key: str) -> Any:
        state = self._state
        match key:
            case "id":
                return state.run_id
            case "started_at" | "scheduled_at" | "date" | "timezone":
                return self._time(key)
            case "attempt":
                return state.attempt
            case "status":
                return state.outcome or "RUNNING"
            case "reason":
                return _reason(state)
            case "failed_jobs":
                return list(_failures(state))[:FAILURES_LISTED]
            case "errors":
                return [_failure(state, *failed) for failed in [*_failures(state).items()][:FAILURES_LISTED]]
            case _:
                raise KeyError(key)

    def _time(self, key: Literal["started_at", "scheduled_at", "date", "timezone"]) -> str | None:
        state = self._state
        match key:
            case "started_at":
                return utc_text(state.started_at) if state.started_at else None
            case "scheduled_at":
                return self._scheduled_at or self._time("started_at")
            case "date":
                day = date_of_run(state, self._scheduled_at)
                return day.isoformat() if day else None
            case "timezone":
                return state.timezone or "UTC"

    def __iter__(self) -> Iterator[str]:
        return iter(RUN_KEYS)

    def __len__(self) -> int:
        return len(RUN_KEYS)


def _failures(state: RunState) -> dict[str, list[str]]:
    """Return the failed jobs, each with its failed instances."""
    failures: dict[str, list[str]] = {}
    for job_id, job in state.jobs.items():
        if job.status == "FAILED" and not is_hook(job_id):
            name = plan_job_id(job_id)
            instances = failures.setdefault(name, [])
            if name != job_id:
                instances.append(job_id)
    return failures


def _failure(state: RunState, job_id: str, instances: list[str]) -> dict[str, Any]:
    """Return the entry of a failed job in `run.errors`, with the error of its first failed instance."""
    job = state.job(job_id)
    if job.error is None and instances:
        job = state.job(instances[0])
    message = job.error.message if job.error else job.reason
    failure: dict[str, Any] = {
        "job": job_id,
        "code": job.error.code if job.error else "",
        "message": message[:MESSAGE_CHARACTERS],
    }
    return {**failure, "instances": len(instances)} if instances else failure


def _reason(state: RunState) -> str:
    """Return in a sentence why the run failed or was cancelled; nothing while it runs, or if it succeeded."""
    failures = _failures(state) if state.outcome == "FAILED" else {}
    if state.outcome is None or state.outcome_reason or not failures:
        return state.outcome_reason
    job_id, instances = next(iter(failures.items()))
    first = _failure(state, job_id, instances)
    many = f" in {len(instances)} instances" if instances else ""
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"job {job_id} failed{many}: {first['message']}{more}"


def step_view(step: StepState, resolve: Resolve = same_outputs) -> Mapping[str, Any]:
    """Return `steps.ID`: a step's outputs; its own keys win over `status`, `outputs` and `reason`."""
    outputs = _outputs(step, resolve)
    own = {"status": step.status, "outputs": outputs, "reason": step.reason}
    return {**own, **outputs} if isinstance(outputs, dict) else ChainMap(outputs, own)  # type: ignore[arg-type]  # only read


def _outputs(of: JobState | StepState, resolve: Resolve) -> Mapping[str, Any]:
    """Return the outputs; a new dict if there are none: a step may change it, and the state's is shared."""
    return resolve(of.outputs) or {}


def run_scope(
    state: RunState,
    job_ids: Collection[str],
    env: Mapping[str, str],
    scheduled_at: str | None = None,
    resolve: Resolve = same_outputs,
    flow: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the names that hold in the whole run; what `when` and `for_each` see."""
    day = date_of_run(state, scheduled_at)
    return {
        "env": env,
        "params": state.params,
        "jobs": JobsView(state, job_ids, resolve),
        "run_id": state.run_id,
        "flow_id": state.flow_id,
        "run": RunView(state, scheduled_at),
        "today": day and day.isoformat(),
        "yesterday": day and (day - timedelta(days=1)).isoformat(),
        "flow": flow or {"id": state.flow_id},
    }


def date_of_run(state: RunState, scheduled_at: str | None = None) -> date | None:
    """Return the date for which a run was scheduled, in its zone, else that of its start; None before it."""
    known = scheduled_at or state.scheduled_at
    instant = datetime.fromisoformat(known) if known else state.started_at
    return day_in(instant, state.timezone) if instant else None


def job_scope(
    names: Mapping[str, Any], state: RunState, instance: JobInstance, resolve: Resolve = same_outputs
) -> dict[str, Any]:
    """Return what the steps of a job see."""
    job = state.jobs[instance.id]
    own = {"id": instance.id, "outputs": _outputs(job, resolve)}
    scope = {**names, "job": own, "steps": StepsView(job, resolve)}
    if instance.item != WHOLE:
        scope["item_index"] = instance.item
        scope["item"] = item_of(state, instance, resolve)
    return scope


def item_of(state: RunState, instance: JobInstance, resolve: Resolve = same_outputs) -> Any:
    """Return the item of an instance; the others are not looked at, since each instance asks for its own."""
    items = state.jobs[instance.job.id].items
    if isinstance(items, StoredItems):
        return resolve({"items": items})["items"][instance.item]
    assert items is not None  # noqa: S101 - a mapped job that has begun has items
    return resolve({"item": items[instance.item]})["item"]
