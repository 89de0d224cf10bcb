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
    flow, settings = examined.plan.flow, examined.environment.settings
    specs = flow.params
    if given_params is None:
        specs = {name: replace(spec, required=False) for name, spec in specs.items()}
    params = read_params(specs, given_params or {})
    scope = {"env": examined.environment.variables, "params": params}

    def rendered(key: str, text: str) -> str:
        try:
            return str(compile_template(text)[0].render(scope))
        except MissingValue as error:
            raise ConfigError(f"{key}: {error.message}", hint=error.hint, code=error.code) from None

    state, root = settings.state_root / "aetherflow.sqlite", settings.work_root
    if flow.state.path:
        state = Path(rendered("flow.state.path", flow.state.path))
    if flow.workspace.root:
        root = Path(rendered("flow.workspace.root", flow.workspace.root))
    own = {key: rendered(f"flow.workspace.layout.{key}", text) for key, text in flow.workspace.layout.items()}
    return Places(
        state=state.absolute(),
        logs=state.absolute().with_name(f"{state.stem}.logs"),
        work_root=root.absolute(),
        layout={**DEFAULT_LAYOUT, **own},
        max_parallel_jobs=flow.max_parallel_jobs or max(4 * (os.cpu_count() or 1), LEAST_PARALLEL_JOBS),
        params=params,
    )
