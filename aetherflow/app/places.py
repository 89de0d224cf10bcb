"""Where a run keeps state, files and logs, and how wide it runs: the flow's words, else the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.app.examine import Examination
from aetherflow.config.params import read_params
from aetherflow.config.restrictions import check_place
from aetherflow.engine.workspace import DEFAULT_LAYOUT
from aetherflow.errors import ConfigError
from aetherflow.language.reference import MissingValue
from aetherflow.language.template import compile_template

LEAST_PARALLEL_JOBS = 8


class Places(msgspec.Struct, frozen=True):
    """The resolved places of a run."""

    state: Path
    logs: Path
    work_root: Path
    layout: Mapping[str, str]
    max_parallel_jobs: int
    params: dict[str, Any]


def places_of(examined: Examination, given_params: Mapping[str, Any] | None) -> Places:
    """Resolve the flow's `workspace` and `state`, whose texts may name `env` and `params`.

    Without `given_params` (None: nothing is going to run) a required parameter may be missing.

    The logs of steps stand beside the database, in a folder of its name: they outlive the workspace.

    Raises:
        UsageError: the parameters do not fit the flow.
        ConfigError: a template names what is not set.
    """
    specs = examined.plan.flow.params
    if given_params is None:
        specs = {name: replace(spec, required=False) for name, spec in specs.items()}
    return resolve_places(examined, read_params(specs, given_params or {}))


def state_of_known_run(examined: Examination, given_params: Mapping[str, Any]) -> Path:
    """Return the state database of a run that may have its parameters there already.

    Required ones may be missing, unless the path itself is made of parameters.

    Raises:
        UsageError: the parameters do not fit the flow.
        ConfigError: a template names what is not set.
    """
    flow = examined.plan.flow
    specs = flow.params
    path = compile_template(flow.state.path)[0]
    if not any(reference.path[0] == "params" for reference in path.references):
        specs = {name: replace(spec, required=False) for name, spec in specs.items()}
    return _state(examined, read_params(specs, given_params))


def resolve_places(examined: Examination, params: dict[str, Any]) -> Places:
    """Resolve the places with parameters that have been read.

    Raises:
        ConfigError: a template names what is not set.
    """
    flow, settings = examined.plan.flow, examined.environment.settings
    scope = {"env": examined.environment.variables, "params": params}

    state, root = _state(examined, params), settings.work_root
    if flow.workspace.root:
        root = Path(_rendered("flow.workspace.root", flow.workspace.root, scope))
    own = {
        key: _rendered(f"flow.workspace.layout.{key}", text, scope)
        for key, text in flow.workspace.layout.items()
    }
    layout = {**DEFAULT_LAYOUT, **own}
    check_place("flow.workspace.root", root, examined.restrictions, (settings.work_root,))
    for key, text in layout.items():
        check_place(f"flow.workspace.layout.{key}", root / text, examined.restrictions, (root,))
    return Places(
        state=state,
        logs=logs_beside(state),
        work_root=root.absolute(),
        layout=layout,
        max_parallel_jobs=flow.max_parallel_jobs or max(4 * (os.cpu_count() or 1), LEAST_PARALLEL_JOBS),
        params=params,
    )


def logs_beside(state: Path) -> Path:
    """Return the folder of the step logs that belong to a state database."""
    return state.with_name(f"{state.stem}.logs")


def _state(examined: Examination, params: Mapping[str, Any]) -> Path:
    flow, settings = examined.plan.flow, examined.environment.settings
    if not flow.state.path:
        return (settings.state_root / "aetherflow.sqlite").absolute()
    scope = {"env": examined.environment.variables, "params": params}
    path = Path(_rendered("flow.state.path", flow.state.path, scope)).absolute()
    check_place("flow.state.path", path, examined.restrictions, (settings.state_root, settings.work_root))
    return path


def _rendered(key: str, text: str, scope: Mapping[str, Any]) -> str:
    try:
        return str(compile_template(text)[0].render(scope))
    except MissingValue as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint, code=error.code) from None
