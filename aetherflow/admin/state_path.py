"""Find the state database for a command: the one it names, the flow's, or the one of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aetherflow.config.environment import load_environment
from aetherflow.config.project import project_here
from aetherflow.errors import StateUnusable
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.runs.usual_state import is_usual_state
from aetherflow.store.filesystem import is_missing
from aetherflow.store.old_database import beside_old, old_beside
from aetherflow.written_path import setting_path


def find_state_path(
    state: Path | None,
    flow: Path | None,
    process_env: Mapping[str, str],
    *,
    must_exist: bool = True,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the path of the state database: `state` if given, else the one of the flow or the settings.

    `warn` is called with each project file that is ignored.

    Raises:
        StateUnusable: the database does not exist, and `must_exist` is true.
        InvalidInput: the flow file has a wrong shape.
    """
    named = ""
    if state is not None:
        path = setting_path(str(state))
    elif flow is not None:
        checked = load_checked_flow(flow, process_env)
        checked.raise_if_guessed()
        path = run_paths_of(checked, None).state
        if written := checked.plan.flow.state.path:
            named = f"flow.state.path is {written!r}, relative to {checked.plan.place.directory}; "
    else:
        found = project_here()
        for ignored in found.ignored:
            warn(str(ignored))
        path = load_environment(process_env, project=found.project).settings.state_database
    path = beside_old(path)
    if must_exist and is_missing(path) and (old := old_beside(path)):
        refuse_missing(path, f"{old} is of AetherFlow 0.0; the first run here makes {path.name} beside it")
    if must_exist:
        hint = f"{named}the first run creates it; name another one: --state FILE, or --flow-yaml FLOW"
        refuse_missing(path, hint)
    return path


def named_state_path(path: Path, process_env: Mapping[str, str]) -> Path | str:
    """Return the database as commands about its runs must name it; empty if they find it."""
    environment = load_environment(process_env, project=project_here().project)
    return "" if is_usual_state(path, environment, process_env) else path


def refuse_missing(path: Path, hint: str) -> None:
    """Refuse to look at a state database that does not exist.

    Raises:
        StateUnusable: it does not exist.
    """
    if is_missing(path):
        raise StateUnusable(f"there is no state database {path}", hint=hint, code="AF605")
