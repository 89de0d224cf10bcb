"""Warn about values that become part of a script: a quote or `;` in the value changes what is run."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, get_args

import msgspec

from aetherflow.check.planned_steps import steps_path, texts, uses_with
from aetherflow.check.scripts import Language, Script, scripts_of
from aetherflow.language.reference import Reference
from aetherflow.language.scan import scan
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan
from aetherflow.spec.flow import ParamSpec

_FREE_TYPES = ("string", "json", "list", "path")
_FREE_ROOTS = ("params", "env", "item", "steps", "jobs", "job", "result")
_HARMLESS = re.compile(r"[\w.,:/=@+ -]*")
_NO_TEXT = (int, float, bool)


def check_scripts(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each `{{...}}` in a script whose value may be any text (AF438)."""
    for job, step, use in uses_with(
        (*plan.jobs, *plan.hooks), plan.step_types, lambda one: one.program_inputs
    ):
        if step.inputs.references:
            for script in scripts_of(use):
                _check(script, plan, steps_path(job), sink)


def by_variable(path: str, language: Language) -> str:
    """Return how a script gets the value at a path safely: by a variable of its environment."""
    root, _, rest = path.partition(".")
    name = rest if root == "env" else re.sub(r"\W", "_", path.rpartition(".")[2]).upper()
    name = f"_{name}" if name[:1].isdigit() else name
    read = {
        "shell": f'write "${name}"',
        "python": f'write os.environ["{name}"]',
        "other": f"read the variable {name}",
    }[language]
    if root == "env":
        return f"{read} in the script: the program has the variables of the environment"
    return f'pass it as a variable: env: {{{name}: "{{{{{path}}}}}"}}, and {read} in the script'


def _check(script: Script, plan: Plan, base: Path, sink: DiagnosticSink) -> None:
    reported: set[tuple[str, ...]] = set()
    for part in scan(script.text, ())[0] if "{{" in script.text else ():
        if not isinstance(part, Reference) or part.path in reported or not _may_be_any(part.path, plan, base):
            continue
        reported.add(part.path)
        path = ".".join(part.path)
        message = (
            f"{{{{{path}}}}} becomes part of the script: a quote or ';' in its value changes what is run"
        )
        place = sink.text_place(script.where, part.offset)
        sink.add(place, "AF438", message, by_variable(path, script.language), "warning")


def _may_be_any(path: tuple[str, ...], plan: Plan, base: Path) -> bool:
    """Whether the value at a path may be any text; numbers, dates and choices change no script."""
    if path[0] not in _FREE_ROOTS or path[-1] in ("status", "id"):
        return False
    if path[0] == "params":
        spec = plan.flow.params.get(".".join(path[1:]))
        return spec is not None and _is_free(spec)
    if base[0] == "jobs" and isinstance(base[1], int):
        if path[0] == "steps":
            return _is_text_of(path[1:], plan, base[1])
        for_each = plan.jobs[base[1]].for_each
        if path[0] == "item" and for_each is not None and for_each.is_constant:
            return not all(_HARMLESS.fullmatch(text) for text, _ in texts(for_each.raw, ()))
    if path[0] == "jobs":
        return "outputs" in path and _is_text_of_job(path[1:], plan, base)  # else it is an error already
    return True


def _is_free(spec: ParamSpec) -> bool:
    return spec.type in _FREE_TYPES and not spec.enum and not spec.pattern


def _is_text_of(path: tuple[str, ...], plan: Plan, job: int) -> bool:
    """Whether `steps.STEP.KEY` may be a text, by the type of the step's output."""
    for step in plan.jobs[job].steps:
        if len(path) > 1 and step.spec.id == path[0]:
            return _field_may_be_text(plan, step.spec.type, path[-1])
    return True


def _is_text_of_job(path: tuple[str, ...], plan: Plan, base: Path) -> bool:
    """Whether `jobs.JOB.outputs.KEY` may be a text: what the output is made of decides."""
    jobs = plan.jobs
    if base[0] == "jobs":  # a job waits for those that it reads
        reader = plan.jobs[int(base[1])]
        jobs = tuple(plan.jobs[index] for index in (*reader.needs, *reader.after))
    job = next((one for one in jobs if one.id == path[0]), None)
    for step in job.steps if job and len(path) > 2 else ():  # noqa: PLR2004 - JOB, outputs, KEY
        made_of: Any = step.spec.outputs.get(path[2])
        parts = scan(made_of, ())[0] if isinstance(made_of, str) else []
        match parts:
            case [Reference(path=("result", key))]:
                return _field_may_be_text(plan, step.spec.type, key)
            case _ if made_of is not None and not isinstance(made_of, str):
                return False
    return True


def _field_may_be_text(plan: Plan, type_name: str, key: str) -> bool:
    step_type = plan.step_types.get(type_name)
    output: Any = step_type.output_type if step_type else None
    if not (isinstance(output, type) and issubclass(output, msgspec.Struct)):
        return True
    found = _types_of(output).get(key, str)
    kinds = [kind for kind in (get_args(found) or (found,)) if kind is not msgspec.UnsetType]
    return not all(kind in _NO_TEXT for kind in kinds)


@cache
def _types_of(output: Any) -> dict[str, Any]:
    """Return the types of the fields of an output, by their names."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(output)}
