"""Report environment variables that the steps of a flow need and that are not set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from aetherflow.check.planned_steps import planned_steps
from aetherflow.check.program_variables import program_variable_hint
from aetherflow.errors import Severity
from aetherflow.language.reference import Reference
from aetherflow.language.template import compile_template
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan
from aetherflow.redaction import names_a_secret
from aetherflow.spec.suggest import did_you_mean


def check_variables(plan: Plan, env: Mapping[str, str], sink: DiagnosticSink, severity: Severity) -> None:
    """Report the variables without value and default (AF430); in a condition a missing one is null, no error.

    Those of resources are reported with the resources (AF536).
    """
    flow = msgspec.to_builtins(plan.flow)
    for key in ("workspace", "state"):
        _check(compile_template(flow[key])[0].references, ("flow", key), env, sink, severity)
    for job in plan.jobs:
        if job.for_each is not None:
            _check(job.for_each.references, ("jobs", job.index, "for_each"), env, sink, severity)
    for step, base in planned_steps(plan):
        for key, template in (("inputs", step.inputs), ("outputs", step.outputs)):
            if template.references:
                _check(template.references, (*base, key), env, sink, severity)


def _check(
    references: Iterable[Reference],
    base: Path,
    env: Mapping[str, str],
    sink: DiagnosticSink,
    severity: Severity,
) -> None:
    for reference in references:
        if reference.path[0] != "env" or len(reference.path) == 1 or reference.default is not None:
            continue
        name = ".".join(reference.path[1:])
        if env.get(name):
            continue
        state = "is empty" if name in env else "is not set"
        meant = "" if name in env else did_you_mean(name, env)
        advice = "set it before the run"
        if not names_a_secret(name):
            advice += f", or give a default: {{{{env.{name}:DEFAULT}}}}"
        place = sink.text_place((*base, *reference.where), reference.offset)
        message = f"the environment variable {name} {state}"
        hint = program_variable_hint(name) or (f"{meant} otherwise {advice}" if meant else advice)
        sink.add(place, "AF430", message, hint, severity)
