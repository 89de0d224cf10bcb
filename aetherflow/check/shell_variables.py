"""Warn about `${VAR}` and `$VAR` in texts that no shell reads: the author probably expects a variable."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import msgspec

from aetherflow.check.planned_steps import Use, planned_steps, texts, uses_of
from aetherflow.check.program_variables import program_variable_hint
from aetherflow.check.scripts import PASSES_TO_SHELL
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan

_VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<default>[^{}]*))?\}|\A\$(?P<bare>[A-Z_][A-Z0-9_]+)(?=/|\Z)"
)
_RUNS_SCRIPTS = re.compile(
    rf"{PASSES_TO_SHELL}|pwsh|envsubst|sed|[gmn]?awk|perl|ruby|node|php|terraform"
    r"|xargs|nohup|nice|timeout|flock|time|watch|parallel"
)
"""Programs that expand `${VAR}` themselves, pass it to a shell, or run scripts in which it is right."""


_BESIDE = ("env", "cwd")
"""The inputs that a program gets besides its command."""


def check_shell_variables(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each `${VAR}` in a text that no shell reads (AF431)."""
    for step, base in planned_steps(plan):
        if b"$" not in msgspec.json.encode((step.inputs.raw, step.spec.outputs)):
            continue  # most steps have none, and this is faster than a walk through all texts
        for use in uses_of(step, base, plan.step_types):
            _check_use(use, sink)
        _check(step.spec.outputs, (*base, "outputs"), sink)
    for name, resource in plan.resources.items():
        for key, value in (("config", resource.config), ("options", resource.options)):
            _check(value, ("resources", name, key), sink)


def _check_use(use: Use, sink: DiagnosticSink) -> None:
    own: tuple[str, ...] = ()
    if use.step_type is not None:
        own = ("step",) if use.step_type.contains == "step" else ()
        if use.step_type.program_inputs and _is_script(use.inputs, use.step_type.program_inputs[0]):
            own = use.step_type.program_inputs
    there = () if use.step_type is None else (*use.step_type.program_inputs, *_BESIDE)
    is_elsewhere = len(there) > len(_BESIDE) and "resource" in use.inputs
    for key, value in use.inputs.items():
        if key not in own:
            _check(value, (*use.base, key), sink, is_elsewhere=is_elsewhere and key in there)


def _is_script(inputs: dict[str, Any], key: str) -> bool:
    """Whether the command in the input `key` runs a shell, or gives a program a script (`python -c`)."""
    command = inputs.get(key)
    words = command if isinstance(command, list) else [command]
    program = PurePath(words[0]).name if words and isinstance(words[0], str) else ""
    return bool(inputs.get("shell")) or bool(_RUNS_SCRIPTS.fullmatch(program)) or "-c" in words


def _check(value: Any, base: Path, sink: DiagnosticSink, *, is_elsewhere: bool = False) -> None:
    """Warn of the variables in the texts of a value, which may be for a program on another host."""
    for text, where in texts(value, base):
        for found in _VARIABLE.finditer(text) if "$" in text else ():
            name = found["name"] or found["bare"]
            place = sink.text_place(where, found.start())
            default = f":{found['default']}" if found["default"] else ""
            here = f"{{{{env.{name}{default}}}}}"
            sink.add(
                place,
                "AF431",
                f"{found[0]} stays as it is written: no shell reads this text",
                _elsewhere(name) if is_elsewhere else program_variable_hint(name) or f"write {here}",
                "warning",
            )


def _elsewhere(name: str) -> str:
    return f"its value there: command: [sh, -c, '... ${name} ...']; its value here: {{{{env.{name}}}}}"
