"""Restore the parameters of a resumed run; secret ones are not stored and must be given again."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import msgspec

from aetherflow.config.param_values import convert
from aetherflow.config.params import read_params, require_params
from aetherflow.engine.state import RunState
from aetherflow.errors import UsageError
from aetherflow.redaction import Redactor, holds_mask
from aetherflow.spec.flow import ParamSpec


def params_of_resumed(
    specs: Mapping[str, ParamSpec],
    state: RunState,
    read: Mapping[str, Any],
    given: Container[str],
    redactor: Redactor,
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a resumed run, and the names that were given without effect.

    A resumed run keeps the parameters that it started with. Secret values are not stored and must be given
    again; so must what the flow requires now and did not require then.

    Args:
        specs: what the flow declares.
        state: of the run, with its stored parameters, secrets masked.
        read: a value for every declared parameter, from the request and the defaults.
        given: the names that the request gives a value for.
        redactor: learns the secret values.

    Raises:
        UsageError: a parameter is secret and not given, or required and not known.
    """
    params = dict(read)
    redactor.add_named(params)
    masked: dict[str, Any] = redactor.value(params)
    ignored: list[str] = []
    for name, stored in state.params.items():
        is_wanting = name in state.secrets and name not in given  # masked, a default looks the same
        if name not in params or (masked[name] == stored and not is_wanting):
            continue  # the flow no longer has it, or it has not changed
        if stored is None and specs[name].required is True:
            continue  # it was left out when it still could be
        if holds_mask(stored):
            raise UsageError(
                f"the parameter {name!r} of run {state.run_id} is secret, hence not stored",
                hint=f"give it again: --param {name}=VALUE",
                code="AF561",
            )
        if name in given:
            ignored.append(name)
        params[name] = _as_declared(name, specs[name], stored, state.run_id)
    was_null = {name for name, stored in state.params.items() if stored is None}
    require_params(specs, params, {name for name in was_null & specs.keys() if not specs[name].required})
    return params, ignored


def secrets_to_give(
    specs: Mapping[str, ParamSpec], params: Mapping[str, Any], redactor: Redactor
) -> list[str]:
    """Return the parameters to give again to a resume: they are secret, and not what the flow says."""
    usual = read_params(specs, {}, require=False)
    return [
        name for name in specs if holds_mask(redactor.value(params)[name]) and params[name] != usual[name]
    ]


def _as_declared(name: str, spec: ParamSpec, stored: Any, run_id: str) -> Any:
    """Return a stored parameter as the type that it has in the flow now; its limits may have changed.

    Raises:
        UsageError: it cannot be read as that.
    """
    if stored is None or spec.type == "json":  # any value is JSON, and a text is not read a second time
        return stored
    try:
        return convert(msgspec.structs.replace(spec, enum=[], pattern=None, min=None, max=None), stored)
    except ValueError as error:
        raise UsageError(
            f"the parameter {name!r} of run {run_id} was {stored!r} when it started, and must now be {error}",
            hint="give the parameter its type back, or start a new run",
            code="AF560",
        ) from None
