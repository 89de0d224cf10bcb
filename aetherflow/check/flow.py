"""What `validate` says of a flow beyond its own file: step types, their inputs, connectors, resources."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

import msgspec

from aetherflow.engine.connector import Connector
from aetherflow.engine.findings import Findings, Path
from aetherflow.engine.plan import Plan
from aetherflow.engine.step import StepType
from aetherflow.errors import AetherFlowError


class Registry(Protocol):
    """Where types are looked up; the module `aetherflow.registry` is one."""

    def step_type(self, name: str) -> StepType:
        """Return the step type of that name."""
        ...

    def connector_class(self, name: str) -> type[Connector]:
        """Return the connector class of that `kind:driver`."""
        ...


def check_flow(plan: Plan, registry: Registry, findings: Findings) -> None:
    """Add to `findings` what is wrong with the steps and resources of a plan."""
    used: set[str] = set()
    for job in plan.jobs:
        for number, step in enumerate(job.steps):
            where: Path = ("jobs", job.index, "steps", number)
            _check_step(step.spec.type, step.spec.inputs, where, plan, registry, findings, used)
    for name, resource in plan.resources.items():
        base: Path = ("resources", name)
        try:
            registry.connector_class(f"{resource.kind}:{resource.driver}")
        except AetherFlowError as error:
            findings.add((*base, "driver"), error.code, error.message, error.hint)
        if name not in used:
            message = f"no step uses the resource {name!r} by its name"
            findings.add(base, "AF552", message, severity="warning")


def _check_step(
    type_name: str,
    inputs: dict[str, Any],
    base: Path,
    plan: Plan,
    registry: Registry,
    findings: Findings,
    used: set[str],
) -> None:
    """Check one step, and the step inside it if it has one (`with_lock`)."""
    try:
        step_type = registry.step_type(type_name)
    except AetherFlowError as error:
        findings.add((*base, "type"), error.code, error.message, error.hint)
        return
    if step_type.input_type is not dict:
        _check_inputs(step_type, inputs, (*base, "inputs"), findings)
    resource = inputs.get("resource")
    if isinstance(resource, str) and "{{" not in resource:
        used.add(resource)
        if resource not in plan.resources:
            findings.add(
                (*base, "inputs", "resource"),
                "AF550",
                f"the flow has no resource {resource!r}",
                _nearest(resource, plan.resources) or "declare it under resources",
            )
    elif resource is not None:
        used.update(plan.resources)  # known only when it runs
    inner = inputs.get("step")
    if type_name == "with_lock" and isinstance(inner, dict) and isinstance(inner.get("type"), str):
        inner_inputs = inner.get("inputs") or {}
        if isinstance(inner_inputs, dict):
            inner_base = (*base, "inputs", "step")
            _check_step(inner["type"], inner_inputs, inner_base, plan, registry, findings, used)


def _check_inputs(step_type: StepType, inputs: Mapping[str, Any], base: Path, findings: Findings) -> None:
    """Check names and constant values; what a template gives is known only when the step runs."""
    fields = _fields_of(step_type)
    for name, value in inputs.items():
        if name not in fields:
            hint = _nearest(name, fields) or f"its inputs: {', '.join(fields)}"
            findings.add((*base, name), "AF543", f"{step_type.name} has no input {name!r}", hint)
        elif not _has_template(value):
            try:
                msgspec.convert(value, fields[name].type, strict=False)
            except msgspec.ValidationError as error:
                problem = str(error).replace(" - at `$", f" at `{name}")
                hint = f"see: aetherflow steps show {step_type.name}"
                findings.add((*base, name), "AF544", f"input {name!r} of {step_type.name}: {problem}", hint)
    for name, field in fields.items():
        if field.required and name not in inputs:
            message = f"{step_type.name} needs the input {name!r}"
            where = base if inputs else base[:-1]
            findings.add(where, "AF545", message, f"see: aetherflow steps show {step_type.name}")


@cache
def _fields_of(step_type: StepType) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(step_type.input_type)}


def _has_template(value: object) -> bool:
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, dict):
        return any(_has_template(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_template(item) for item in value)
    return False


def _nearest(wanted: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(wanted, list(known), n=1)
    return f"did you mean {found[0]!r}?" if found else ""
