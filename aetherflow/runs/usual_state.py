"""Decide whether a command about a run must name its state database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aetherflow.config.environment import Environment
from aetherflow.config.settings import DEFAULT, default_state_database
from aetherflow.errors import ConfigError
from aetherflow.spec.project import PROJECT_FILE
from aetherflow.working_directory import working_directory_name


def is_usual_state(state: Path, environment: Environment, process_env: Mapping[str, str]) -> bool:
    """Return whether commands find a database without `--state`, here and wherever no project names another.

    That is the database in the home of the user (or in `XDG_STATE_HOME`), if no setting names another one: a
    setting of this shell may be missing in the one where the command is typed.

    Args:
        state: the database.
        environment: of a run or a command here, with its settings and projects.
        process_env: the environment of the process.
    """
    if environment.settings.sources["state_root"] != DEFAULT:
        return False
    try:
        if state != default_state_database(process_env):
            return False
    except ConfigError:
        return False
    return _project_folder() in (None, *(project.folder for project in environment.projects))


def _project_folder() -> Path | None:
    """Return the folder of the nearest project file, as commands here find it."""
    here = Path(working_directory_name())
    return next((place for place in (here, *here.parents) if os.path.lexists(place / PROJECT_FILE)), None)
