"""Warn about `${params.x}`, `{params.x}`, `<%= params.x %>`: what other tools write for `{{params.x}}`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from aetherflow.check.planned_steps import planned_steps, texts, uses_of
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import JobPlan, Plan, StepPlan

_ROOTS = "params|env|steps|jobs|job|run|item|flow"
_PATH = r"[A-Za-z_][\w-]*(?:\.[\w-]+)*"
_SURE = re.compile(
    rf"[$%#@]\{{\s*(?P<a>(?:{_ROOTS})\.{_PATH})\s*\}}"
    rf"|\$\{{\{{\s*(?P<b>(?:{_ROOTS})\.{_PATH})\s*\}}\}}"
    rf"|<%[=-]?\s*(?P<c>(?:{_ROOTS})\.{_PATH})\s*[-=]?%>"
)
_LIKELY = re.compile(
    rf"\$(?P<a>(?:params|steps|jobs)\.{_PATH})|(?<![{{$%#@])\{{(?P<b>(?:params|steps|jobs)\.{_PATH})\}}(?!\}})"
)
"""Is something else where the flow has no parameter, step or job of that name: `f"{params.day}"`."""


def check_foreign_variables(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each variable that is written as in another tool (AF435)."""
    of_flow: set[str] = set()  # gathered for the first step that may have one
    for step, base in planned_steps(plan):
        raw = msgspec.json.encode((step.inputs.raw, step.spec.outputs)).decode()
        # Most steps have none, and this is faster than a walk through all texts.
        if _SURE.search(raw) or _LIKELY.search(raw):
            of_flow = of_flow or _of_flow(plan)
            _check_step(plan, step, base, (of_flow, _of_job(plan, base)), sink)
    _check_lists(plan.jobs, sink)


def _check_step(
    plan: Plan, step: StepPlan, base: Path, known: tuple[set[str], set[str]], sink: DiagnosticSink
) -> None:
    from aetherflow.check.script_values import by_variable  # noqa: PLC0415 - only for warnings
    from aetherflow.check.scripts import scripts_of  # noqa: PLC0415 - as above

    scripts = {
        script.where: script.language
        for use in uses_of(step, base, plan.step_types)
        for script in scripts_of(use)
    }
    for value, key in ((step.inputs.raw, "inputs"), (step.spec.outputs, "outputs")):
        for text, where in texts(value, (*base, key)):
            for path, at, written in _found(text, known):
                hint = by_variable(path, scripts[where]) if where in scripts else f"write {{{{{path}}}}}"
                _warn(written, sink, where, at, hint)


def _of_flow(plan: Plan) -> set[str]:
    """Return the beginnings of paths that exist everywhere in the flow."""
    return {*(f"params.{name}" for name in plan.flow.params), *(f"jobs.{job.id}" for job in plan.jobs)}


def _of_job(plan: Plan, base: Path) -> set[str]:
    """Return the beginnings of paths that exist in the job of a step, too."""
    if base[0] != "jobs":
        return set()
    return {f"steps.{step.spec.id}" for step in plan.jobs[int(base[1])].steps}


def _found(text: str, known: tuple[set[str], set[str]]) -> Iterator[tuple[str, int, str]]:
    """Yield the paths in a text, where they are, and how they are written."""
    for found in _SURE.finditer(text):
        yield found["a"] or found["b"] or found["c"], found.start(), found[0]
    for found in _LIKELY.finditer(text):
        path = found["a"] or found["b"]
        name = ".".join(path.split(".")[:2])
        if any(name in names for names in known):
            yield path, found.start(), found[0]


def _check_lists(jobs: tuple[JobPlan, ...], sink: DiagnosticSink) -> None:
    for job in jobs:
        if job.for_each is None:
            continue
        for text, where in texts(job.for_each.raw, ("jobs", job.index, "for_each")):
            for found in _SURE.finditer(text):
                path = found["a"] or found["b"] or found["c"]
                _warn(found[0], sink, where, found.start(), f"write {{{{{path}}}}}")


def _warn(written: str, sink: DiagnosticSink, where: Path, at: int, hint: str) -> None:
    is_half = written.startswith("${{")
    message = "the '$' of {} stays" if is_half else "{} stays as it is written"
    sink.add(sink.text_place(where, at), "AF435", message.format(written), hint, "warning")
