"""Find a state database where earlier versions looked for it: below the working directory.

A relative `flow.state.path` starts at the folder of the flow file. Without this check the first run of a
newer version would find no database there, and every run id would silently begin again.
"""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from aetherflow.errors import ConfigError
from aetherflow.store.filesystem import is_missing, logs_beside
from aetherflow.store.looking import uri_to_look, way_to_look
from aetherflow.store.old_database import beside_old
from aetherflow.working_directory import working_directory_name

_RUNS_OF_FLOW = "SELECT EXISTS (SELECT 1 FROM runs WHERE flow_id = ?)"


def refuse_left_behind(text: str, path: Path, flow_id: str) -> None:
    """Refuse to create a database while the runs of the flow are in the one below the working directory.

    Args:
        text: `flow.state.path`, rendered.
        path: what it means.
        flow_id: whose runs they must be: another flow may have a database of that name there.

    Raises:
        ConfigError: they are there (AF143).
    """
    here = working_directory_name()
    old = Path(here, text)
    if not here or Path(text).is_absolute() or text.startswith("~") or not is_missing(path):
        return
    is_of_0_0 = beside_old(old) != old
    if not old.is_file() or not (is_of_0_0 or _has_runs(old, flow_id)):
        return
    files = [f"{shlex.quote(str(old))}*"]
    if (logs := logs_beside(old)).is_dir():
        files.append(shlex.quote(str(logs)))
    folder = shlex.quote(str(path.parent))
    move = f"mkdir -p {folder} && mv {' '.join(files)} {folder}"
    raise ConfigError(
        f"flow.state.path: {text!r} starts at the folder of the flow file, and {path} does not exist; "
        f"but {old} has runs of the flow {flow_id!r}, from a version that began at the working directory",
        hint=f"move it: {move}; or write its whole path in the flow",
        code="AF143",
    )


def _has_runs(database: Path, flow_id: str) -> bool:
    """Whether a database has runs of a flow; False for any other file."""
    try:
        uri = uri_to_look(database, way_to_look(database))
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            return bool(connection.execute(_RUNS_OF_FLOW, (flow_id,)).fetchone()[0])
    except (sqlite3.Error, OSError):
        return False
