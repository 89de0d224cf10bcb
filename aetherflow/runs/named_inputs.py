"""Register the secrets among the inputs of all steps when a run starts, as a step registers its own too late.

An earlier step may print them, and so may any step of a resume that keeps the step that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aetherflow.engine.state import RunState
from aetherflow.engine.template_scope import StepsView, run_scope
from aetherflow.language.reference import MissingValue
from aetherflow.language.template import compile_template
from aetherflow.plan.plan import Plan
from aetherflow.redaction import Redactor, names_a_secret

_MARKS = ("://", "=", ": ", " -")
"""What a text has in which a password is named: a URL, a query, a header, an option."""


def register_named_inputs(
    plan: Plan, state: RunState, params: Mapping[str, Any], env: Mapping[str, str], redactor: Redactor
) -> None:
    """Register what the inputs of all steps hold under names of secrets, as far as it is known now.

    Known are the environment, the parameters and, in a resumed run, the outputs of steps that have ended.
    """
    names = run_scope(state, {job.id for job in plan.jobs}, env) | {"params": params}
    for job in (*plan.jobs, *plan.hooks):
        scope = {**names, "steps": StepsView(state.job(job.id))}
        for step in job.steps:
            redactor.add_named(_known(step.inputs.raw, scope, is_named=False))


def _known(value: Any, scope: Mapping[str, Any], *, is_named: bool) -> Any:
    """Return inputs with rendered texts, but None for a text that has no value yet or can hold no new secret.

    The environment and the parameters are registered already, so what can is a text under the name of a
    secret, and one in which a password is named: a URL, or `password=...`, or the word after `--password`.
    """
    match value:
        case dict():
            return {
                key: _known(item, scope, is_named=is_named or names_a_secret(str(key)))
                for key, item in value.items()
            }
        case list():
            before = [None, *value]
            return [
                _known(item, scope, is_named=is_named or _is_option(before[number]))
                for number, item in enumerate(value)
            ]
        case str() if "{{" in value:
            if not (is_named or any(mark in value for mark in _MARKS)):
                return None
            try:
                return compile_template(value)[0].render(scope)
            except MissingValue:
                return None
        case _:
            return value


def _is_option(word: Any) -> bool:
    return isinstance(word, str) and word.startswith("-") and names_a_secret(word)
