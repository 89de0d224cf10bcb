"""Register the secrets among the inputs of all steps when a run starts, as a step registers its own too late.

An earlier step may print them, and so may any step of a resume that keeps the step that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aetherflow.engine.state import RunState
from aetherflow.engine.template_scope import StepsView, run_scope
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.plan.plan import Plan, StepPlan
from aetherflow.redaction import Redactor
from aetherflow.redaction.addresses import add_address
from aetherflow.spec.messages import is_address


def register_named_inputs(
    plan: Plan, state: RunState, params: Mapping[str, Any], env: Mapping[str, str], redactor: Redactor
) -> None:
    """Register what the inputs of all steps hold under names of secrets, or show by its form.

    Known are the environment, the parameters and, in a resumed run, the outputs of steps that have ended.
    """
    names = run_scope(state, {job.id for job in plan.jobs}, env, flow=plan.flow_names) | {"params": params}
    for job in (*plan.jobs, *plan.hooks):
        scope = {**names, "steps": StepsView(state.job(job.id))}
        for step in job.steps:
            redactor.add_named(_known_inputs(step, scope))


def register_constant_inputs(plan: Plan, redactor: Redactor) -> None:
    """Register the same as `register_named_inputs` as far as the file alone has it."""
    for job in (*plan.jobs, *plan.hooks):
        for step in job.steps:
            redactor.add_named(_known(step.inputs.raw, {}))


def register_addresses(plan: Plan, env: Mapping[str, str], redactor: Redactor) -> None:
    """Register the addresses of webhooks: who knows the address of a chat can write to it."""
    for name, resource in plan.resources.items():
        if is_address(name) and isinstance(url := resource.config.get("base_url"), str):
            address = _known(url, {"env": env, "flow": plan.flow_names})
            if isinstance(address, str):
                add_address(redactor, address)


def _known_inputs(step: StepPlan, scope: Mapping[str, Any]) -> Any:
    """Return the rendered inputs of a step, with None for each text that has no value yet."""
    raw: dict[str, Any] = step.inputs.raw
    try:
        present = step.inputs.render_present(scope)
    except TemplateError:  # a value is no date
        present = {}
    return present | {key: _known(raw[key], scope) for key in raw.keys() - present.keys()}


def _known(value: Any, scope: Mapping[str, Any]) -> Any:
    match value:
        case dict():
            return {key: _known(item, scope) for key, item in value.items()}
        case list():
            return [_known(item, scope) for item in value]
        case str() if "{{" in value:
            try:
                return compile_template(value)[0].render(scope)
            except TemplateError:
                return None
        case _:
            return value
