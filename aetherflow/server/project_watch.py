"""Notice changes of the project files of a server's scheduler files, and say what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aetherflow.config.project import project_of
from aetherflow.errors import AetherFlowError
from aetherflow.spec.project import PROJECT_FILE
from aetherflow.working_directory import absolute


def project_files(schedules: Iterable[Path]) -> list[Path]:
    """Return the project files to watch; where there is none yet, the place beside the scheduler file."""
    found: dict[Path, None] = {}
    for schedule in schedules:
        try:
            project = project_of(schedule).project
        except AetherFlowError:  # it became wrong after the start, and is watched until it is right
            project = None
        folder = project.folder if project else absolute(schedule).parent
        found[folder / PROJECT_FILE] = None
    return list(found)


def problem_of_project(file: Path) -> str:
    """Return what is wrong with a project file that changed; empty if nothing is."""
    try:
        project_of(file)
    except AetherFlowError as error:
        return error.message
    return ""
