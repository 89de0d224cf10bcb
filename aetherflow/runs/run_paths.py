"""Where a run keeps state, files and logs, and how wide it runs: the flow's words, else the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.config.params import read_params
from aetherflow.config.restrictions import check_place
from aetherflow.errors import ConfigError
from aetherflow.language.reference import MissingValue
from aetherflow.language.template import compile_template
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.sdk.workspace import DEFAULT_LAYOUT

LEAST_PARALLEL_JOBS = 8


class RunPaths(msgspec.Struct, frozen=True):
    """The resolved places of a run."""

    state: Path
    logs: Path
    work_root: Path
    layout: Mapping[str, str]
    max_parallel_jobs: int
    params: dict[str, Any]


def run_paths_of(checked: CheckedFlow, given_params: Mapping[str, Any] | None) -> RunPaths:
    """Resolve the flow's `workspace` and `state`, whose texts may name `env` and `params`.

    Without `given_params` (None: nothing is going to run) a required parameter may be missing.

    The logs of steps stand beside the database, in a folder of its name: they outlive the workspace.

    Raises:
        UsageError: the parameters do not fit the flow.
        ConfigError: a template names what is not set.
    """
    specs = checked.plan.flow.params
    if given_params is None:
        specs = {name: replace(spec, required=False) for name, spec in specs.items()}
    return resolve_run_paths(checked, read_params(specs, given_params or {}))


def state_of_known_run(checked: CheckedFlow, given_params: Mapping[str, Any]) -> Path:
    """Return the state database of a run that may have its parameters there already.

    Required ones may be missing, unless the path itself is made of parameters.

    Raises:
        UsageError: the parameters do not fit the flow.
        ConfigError: a template names what is not set.
    """
    flow = checked.plan.flow
    specs = flow.params
    path = compile_template(flow.state.path)[0]
    if not any(reference.path[0] == "params" for reference in path.references):
        specs = {name: replace(spec, required=False) for name, spec in specs.items()}
    return _state(checked, read_params(specs, given_params))


def resolve_run_paths(checked: CheckedFlow, params: dict[str, Any]) -> RunPaths:
    """Resolve the places with parameters that have been read.

    Raises:
        ConfigError: a template names what is not set.
    """
    flow, settings = checked.plan.flow, checked.environment.settings
    scope = {"env": checked.environment.variables, "params": params}

    state, root = _state(checked, params), settings.work_root
    if flow.workspace.root:
        root = Path(_rendered("flow.workspace.root", flow.workspace.root, scope))
    own = {
        key: _rendered(f"flow.workspace.layout.{key}", text, scope)
        for key, text in flow.workspace.layout.items()
    }
    layout = {**DEFAULT_LAYOUT, **own}
    check_place("flow.workspace.root", root, checked.restrictions, (settings.work_root,))
    for key, text in layout.items():
        check_place(f"flow.workspace.layout.{key}", root / text, checked.restrictions, (root,))
    return RunPaths(
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


def _state(checked: CheckedFlow, params: Mapping[str, Any]) -> Path:
    flow, settings = checked.plan.flow, checked.environment.settings
    if not flow.state.path:
        return (settings.state_root / "aetherflow.sqlite").absolute()
    scope = {"env": checked.environment.variables, "params": params}
    path = Path(_rendered("flow.state.path", flow.state.path, scope)).absolute()
    check_place("flow.state.path", path, checked.restrictions, (settings.state_root, settings.work_root))
    return path


def _rendered(key: str, text: str, scope: Mapping[str, Any]) -> str:
    try:
        return str(compile_template(text)[0].render(scope))
    except MissingValue as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint, code=error.code) from None
