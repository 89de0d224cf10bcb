"""Compute where a run keeps its state, files and logs, and how many jobs run at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.params import read_params
from aetherflow.config.restrictions import check_place
from aetherflow.errors import ConfigError
from aetherflow.plan.plan import Plan
from aetherflow.runs.flow_folders import rendered, rendered_path, scope_of, with_work_root, work_root_of
from aetherflow.runs.left_behind import refuse_left_behind
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.sdk.workspace import DEFAULT_LAYOUT
from aetherflow.store.filesystem import logs_beside
from aetherflow.store.old_database import beside_old
from aetherflow.working_directory import absolute
from aetherflow.written_path import unexpanded, variable_of

LEAST_PARALLEL_JOBS = 8

JOBS_IN_A_COMMIT = 64
"""How many jobs may have started if the flow does not say it: those that end quickly share a commit."""


class RunPaths(msgspec.Struct, frozen=True):
    """The resolved paths of a run, and how many of its jobs run at a time.

    Attributes:
        max_parallel_jobs: how many jobs work at the same time.
        max_jobs_ahead: how many more may have started, while jobs end quickly.
    """

    state: Path
    logs: Path
    work_root: Path
    layout: Mapping[str, str]
    max_parallel_jobs: int
    max_jobs_ahead: int


def run_paths_of(checked: CheckedFlow, given_params: Mapping[str, Any] | None) -> RunPaths:
    """Resolve the flow's `workspace` and `state` for a command that starts no run itself.

    Without `given_params` (None) a required parameter may be missing.

    Raises:
        UsageError: the parameters do not fit the flow.
        ConfigError: a template names a variable that is not set.
    """
    specs = checked.plan.flow.params
    params = read_params(specs, given_params or {}, require=given_params is not None)
    return resolve_run_paths(checked, params, state_path(checked, params))


def resolve_run_paths(checked: CheckedFlow, params: Mapping[str, Any], state: Path) -> RunPaths:
    """Resolve the flow's `workspace`, whose texts may name `env` and `params`.

    A relative root starts at the folder of the flow file, in a bundle at the work root. The logs of steps
    are beside the database, in a folder of its name: they outlive the workspace.

    Raises:
        ConfigError: a template names a variable that is not set, or a path leads where the mode forbids it.
    """
    flow, settings = checked.plan.flow, checked.environment.settings
    scope = scope_of(checked.plan, checked.environment.variables, params)
    root = work_root_of(checked.plan, checked.environment, params, in_bundle=checked.bundle is not None)
    own = {
        key: _folder_name(f"flow.workspace.layout.{key}", text, scope)
        for key, text in flow.workspace.layout.items()
    }
    layout = {**DEFAULT_LAYOUT, **own}
    check_place("flow.workspace.root", root, checked.restrictions, (settings.work_root,))
    for key, text in layout.items():
        check_place(f"flow.workspace.layout.{key}", root / text, checked.restrictions, (root,))
    parallel = flow.max_parallel_jobs or max(4 * (os.cpu_count() or 1), LEAST_PARALLEL_JOBS)
    return RunPaths(
        state=state,
        logs=logs_beside(state),
        work_root=absolute(root),
        layout=layout,
        max_parallel_jobs=parallel,
        max_jobs_ahead=0 if flow.max_parallel_jobs else max(JOBS_IN_A_COMMIT - parallel, 0),
    )


WAITING_PER_SLOT = 3
"""How many attempts may wait in the queue of a cluster for each one that its workers run at once."""


def with_workers(paths: RunPaths, plan: Plan, slots: int) -> RunPaths:
    """Let as many jobs run as workers run attempts, and more that wait for them; the flow may say how many.

    A worker that has ended one attempt begins the next at once if one waits there already. What waits may
    count as begun after a crash, so none does if that matters: `on_interrupt: fail|skip`, `fail_fast`.
    """
    flow = plan.flow
    if flow.max_parallel_jobs or not slots:
        return paths
    may_wait = not flow.fail_fast and all(
        step.spec.on_interrupt == "rerun" for job in plan.jobs for step in job.steps
    )
    parallel = slots * (1 + WAITING_PER_SLOT) if may_wait else slots
    ahead = max(JOBS_IN_A_COMMIT - parallel, 0)
    return msgspec.structs.replace(paths, max_parallel_jobs=parallel, max_jobs_ahead=ahead)


def with_folders(checked: CheckedFlow, paths: RunPaths) -> CheckedFlow:
    """Return the flow of a run with the variables that name its workspace, which may depend on parameters."""
    if checked.bundle is not None:
        return checked
    return msgspec.structs.replace(checked, environment=with_work_root(checked.environment, paths.work_root))


def state_path(checked: CheckedFlow, params: Mapping[str, Any]) -> Path:
    """Return the state database that the flow names, or that of the settings.

    A relative path starts at the folder of the flow file, in a bundle at the state root: so a run id means
    the same run wherever the command is typed. Where a database of AetherFlow 0.0 is, it is one beside that.

    Raises:
        ConfigError: the path names a variable that is not set, or leads where the mode forbids it; or the
            runs of the flow are where older versions would have looked for them (AF143).
    """
    flow, settings = checked.plan.flow, checked.environment.settings
    if not flow.state.path:
        return beside_old(settings.state_database)
    scope = scope_of(checked.plan, checked.environment.variables, params)
    base = settings.state_root if checked.bundle else checked.plan.place.folder
    path = rendered_path("flow.state.path", flow.state.path, scope, base)
    check_place("flow.state.path", path, checked.restrictions, (settings.state_root, settings.work_root))
    text = rendered("flow.state.path", flow.state.path, scope)
    refuse_left_behind(text, path, checked.plan.flow_id)
    return beside_old(path)


def _folder_name(key: str, text: str, scope: Mapping[str, Any]) -> str:
    name = rendered(key, text, scope)
    if found := unexpanded(name):
        raise ConfigError(
            f"{key} is {name!r}: {found} is not replaced here",
            hint=f"write {{{{env.{variable_of(found)}}}}} in its place, or ./{name} for a folder called so",
            code="AF142",
        )
    return name
