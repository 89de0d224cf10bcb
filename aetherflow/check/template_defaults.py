"""Warn about templates in defaults of parameters: none is read there, they stay as they are written."""

from __future__ import annotations

from aetherflow.check.planned_steps import texts
from aetherflow.language.reference import Reference
from aetherflow.language.scan import scan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import DAY_ROOTS, Plan

_ROOTS = frozenset(("env", "params", "run", "flow", "run_id", "flow_id", "steps", "jobs", *DAY_ROOTS))
"""Templates of this language; all else is probably text for another program."""


def check_template_defaults(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each template in the default of a parameter (AF428)."""
    for name, spec in plan.flow.params.items():
        if spec.type in ("date", "datetime"):
            continue  # no template is a date: its declaration is an error already
        for text, where in texts(spec.default, ("flow", "params", name, "default")):
            for part in scan(text, ())[0] if "{{" in text else ():
                if isinstance(part, Reference) and part.path[0] in _ROOTS:
                    sink.add(
                        sink.text_place(where, part.offset),
                        "AF428",
                        f"{{{{{part.written}}}}} stays as it is written: a default holds no templates",
                        f"write the value; a date can be `type: date, default: today-1d`, and "
                        f"what needs {{{{{part.written}}}}} can have it where params.{name} is read",
                        "warning",
                    )
