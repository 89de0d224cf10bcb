"""Resolve the paths that a flow writes among its own keys, and name its folders to the programs of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from aetherflow.config.environment import Environment
from aetherflow.config.params import read_params
from aetherflow.errors import AetherFlowError, ConfigError
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.plan.plan import Plan
from aetherflow.spec.flow_place import FlowPlace, joined
from aetherflow.written_path import UnclearPath, written_path

ORIGIN = "run"
"""The origin of the variables that a run adds to its environment."""

BUNDLE_FOLDERS = ("AETHERFLOW_LOCAL_ROOT_DIR", "AETHERFLOW_ACTIVE_DIR", "AETHERFLOW_CACHE_DIR")
"""The variables that name the folders of a bundle; in a run without one, the workspace root."""


def scope_of(plan: Plan, env: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates of the flow's own keys see."""
    return {"env": env, "params": params, "flow": plan.flow_names}


def rendered(key: str, text: str, scope: Mapping[str, Any]) -> str:
    """Return a text of the flow's own keys with its templates rendered.

    Raises:
        ConfigError: a template has no value.
    """
    try:
        return str(compile_template(text)[0].render(scope))
    except TemplateError as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint, code=error.code) from None


def rendered_path(key: str, text: str, scope: Mapping[str, Any], base: Path) -> Path:
    """Return a path of the flow's own keys; a relative one starts at `base`.

    Raises:
        ConfigError: a template has no value, or the path is not clear (AF140, AF141).
    """
    path = rendered(key, text, scope)
    try:
        return joined(written_path(path, base, home=scope["env"].get("HOME", "")), base)
    except UnclearPath as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint, code=error.code) from None


def work_root_of(plan: Plan, environment: Environment, params: Mapping[str, Any], *, in_bundle: bool) -> Path:
    """Return the workspace root: relative to the flow file, in a bundle to the work root, its default.

    Raises:
        ConfigError: a template has no value, or the path is not clear.
    """
    default = environment.settings.work_root
    if not plan.flow.workspace.root:
        return default
    scope = scope_of(plan, environment.variables, params)
    base = default if in_bundle else plan.place.folder
    return rendered_path("flow.workspace.root", plan.flow.workspace.root, scope, base)


def with_flow_variables(environment: Environment, place: FlowPlace) -> Environment:
    """Return the environment with the variables that name the flow file and its folder."""
    return _with(environment, place.variables)


def with_work_root(environment: Environment, root: Path) -> Environment:
    """Return the environment of a run without a bundle, whose folders all are the workspace root."""
    return _with(environment, dict.fromkeys(BUNDLE_FOLDERS, str(root)))


def with_likely_work_root(plan: Plan, environment: Environment) -> Environment:
    """Return the environment with the workspace root as far as it is known before the parameters of a run."""
    try:
        params = read_params(plan.flow.params, {}, require=False)
        root = work_root_of(plan, environment, params, in_bundle=False)
    except AetherFlowError:  # the run reports it, when it has its parameters
        root = environment.settings.work_root
    return with_work_root(environment, root)


def _with(environment: Environment, variables: Mapping[str, str]) -> Environment:
    return msgspec.structs.replace(
        environment,
        variables=MappingProxyType({**environment.variables, **variables}),
        origins=MappingProxyType({**environment.origins, **dict.fromkeys(variables, ORIGIN)}),
    )
