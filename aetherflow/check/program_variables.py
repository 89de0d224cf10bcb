"""What to write for the variables that only the programs of steps have, and templates do not. Pure."""

from __future__ import annotations

_TEMPLATES = {
    "AETHERFLOW_FLOW_ID": "flow.id",
    "AETHERFLOW_RUN_ID": "run.id",
    "AETHERFLOW_JOB_ID": "job.id",
    "AETHERFLOW_RUN_DATE": "run.date",
    "AETHERFLOW_SCHEDULED_AT": "run.scheduled_at",
}
_PROGRAMS_ONLY = {
    "AETHERFLOW_STEP_ID",
    "AETHERFLOW_IDEMPOTENCY_KEY",
    "AETHERFLOW_OUTPUT",
    "AETHERFLOW_OUTPUT_DIR",
}


def program_variable_hint(name: str) -> str:
    """Return what to write in a template for such a variable; empty for every other name."""
    if template := _TEMPLATES.get(name):
        return f"write {{{{{template}}}}}"
    if name in _PROGRAMS_ONLY:
        return f"only programs have it: a script reads it as ${name}, as in command: [sh, -c, '...']"
    return ""
