"""Find the state database for a command: the one it names, the flow's, or the one of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aetherflow.config.environment import load_environment
from aetherflow.config.project import project_here
from aetherflow.errors import InvalidInput, StateUnusable
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
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
    may_guess: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the path of the state database: `state` if given, else the one of the flow or the settings.

    `warn` is called with each project file that is ignored. With `may_guess`, a flow file that has a wrong
    shape is read as it was probably meant, with a warning: past runs are shown while it is being repaired.

    Raises:
        StateUnusable: the database does not exist, and `must_exist` is true.
        InvalidInput: the flow file has a wrong shape, or cannot be read at all.
    """
    named = ""
    if state is not None:
        path = setting_path(str(state))
    elif flow is not None:
        checked = load_checked_flow(flow, process_env)
        path = _state_of(checked, flow, warn if may_guess else None)
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


def _state_of(checked: CheckedFlow, flow: Path, warn: Callable[[str], None] | None) -> Path:
    """Return the database of a flow; with `warn` also that of a flow that had to be guessed."""
    path = run_paths_of(checked, None).state
    try:
        checked.raise_if_guessed()
    except InvalidInput as error:
        if warn is None:
            raise
        first = str(error.diagnostics[0]).partition("\n")[0]
        warn(f"warning: {flow} has errors, so its state database is taken to be {path}: {first}")
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
