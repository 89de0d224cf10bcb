"""Find jobs that can never run, as far as the flow alone proves it.

A condition is evaluated with every combination of final statuses of the jobs that it names. Everything else
(outputs, parameters, the environment) is unknown; a condition that reads it is not reported. A job in
`depends_on` has always ended SUCCESS, so `depends_on: [a]` with `when: jobs.a.status == 'FAILED'` is
proved to be false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NoReturn

from aetherflow.errors import AetherFlowError
from aetherflow.language.reference import Reference
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.items import UnfitItems, items_of
from aetherflow.plan.plan import DAY_ROOTS, JobPlan, Plan

ENDINGS = ("SUCCESS", "FAILED", "SKIPPED", "BLOCKED", "CANCELLED")
MOST_COMBINATIONS = 5**4


class _Unread(Exception):
    """The condition reads a value that is known only in a run."""


class _Unknown(Mapping[str, Any]):
    """A part of the scope whose values are known only in a run."""

    def __getitem__(self, key: str) -> NoReturn:
        raise _Unread

    def __contains__(self, key: object) -> NoReturn:
        raise _Unread

    def __iter__(self) -> NoReturn:
        raise _Unread

    def __len__(self) -> NoReturn:
        raise _Unread


_UNKNOWN = _Unknown()


def check_unreachable_jobs(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each job that never runs (AF434)."""
    dead: set[int] = set()
    for job in plan.jobs:
        if job.when is not None and job.when.text.strip() and _never_holds(plan, job):
            dead.add(job.index)
            _warn(sink, job, "when", "its condition is false whatever happens", _advice(plan, job))
        elif job.for_each is not None and job.for_each.is_constant and _has_no_items(job.for_each.raw):
            dead.add(job.index)
            _warn(sink, job, "for_each", "for_each has no items", "list its items, or remove the job")
    waiting = [job for job in plan.jobs if job.needs] if dead else []
    while found := [job for job in waiting if job.index not in dead and not dead.isdisjoint(job.needs)]:
        for job in found:
            before = plan.jobs[next(need for need in job.needs if need in dead)].id
            _warn(
                sink,
                job,
                "depends_on",
                f"it needs {before!r} to succeed, which never runs",
                f"refer to jobs.{before}.status instead, if it shall run after a skipped job",
            )
        dead.update(job.index for job in found)


def _has_no_items(raw: Any) -> bool:
    try:
        return not items_of(raw, raw)
    except UnfitItems:
        return False


def _warn(sink: DiagnosticSink, job: JobPlan, key: str, reason: str, hint: str) -> None:
    message = f"the job {job.id!r} never runs: {reason}"
    sink.add(("jobs", job.index, key), "AF434", message, hint, "warning")


def _never_holds(plan: Plan, job: JobPlan) -> bool:
    """Whether the condition is proved to be false."""
    assert job.when is not None  # noqa: S101 - the caller has checked
    if any(one.path[0] in DAY_ROOTS for one in job.when.references):
        return False  # the date of a run
    try:
        for tried, scope in enumerate(_scopes(plan, job)):
            if tried >= MOST_COMBINATIONS or job.when.evaluate(scope):
                return False
    except (_Unread, AetherFlowError):
        return False
    return True


def _scopes(plan: Plan, job: JobPlan) -> Iterator[dict[str, Any]]:
    """Yield a scope for the condition for each combination of statuses of its jobs."""
    after = {plan.jobs[index].id: ENDINGS for index in job.after}
    needs = {plan.jobs[index].id: ENDINGS[:1] for index in job.needs}
    known = after | needs
    if not all(_names_one_of(reference.path, known) for reference in _of_jobs(job)):
        raise _Unread
    for statuses in product(*known.values()):
        jobs = {
            name: {"status": status, "outputs": _UNKNOWN}
            for name, status in zip(known, statuses, strict=True)
        }
        yield {"jobs": jobs, "params": _UNKNOWN, "env": _UNKNOWN, "run": _UNKNOWN}


def _of_jobs(job: JobPlan) -> Iterator[Reference]:
    return (one for one in (job.when.references if job.when else ()) if one.path[0] == "jobs")


def _names_one_of(path: tuple[str, ...], known: Mapping[str, Any]) -> bool:
    """Whether a path leads to a known job; job ids may contain dots."""
    return any(".".join(path[1:end]) in known for end in range(2, len(path) + 1))


def _advice(plan: Plan, job: JobPlan) -> str:
    """Return what to do about a condition that is always false."""
    needs = [plan.jobs[index].id for index in job.needs]
    read = {".".join(reference.path) for reference in job.when.references} if job.when else set()
    for name in needs:
        if f"jobs.{name}.status" in read:
            return (
                f"a job in depends_on has ended SUCCESS when this is read: remove {name!r} from depends_on, "
                "the condition waits for it too"
            )
    return f"a job ends as {', '.join(ENDINGS)}; or remove the job"
