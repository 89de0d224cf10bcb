"""Report the project files of an environment for `doctor`: which are used, and what they give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from aetherflow.config.environment import Environment, origin_of_env_file
from aetherflow.config.project import Project
from aetherflow.config.value_providers import others_may_read
from aetherflow.sdk.checks import CheckResult
from aetherflow.spec.project import PROJECT_FILE, STEPS_FOLDER

_SUBJECT = "project"


def project_results(environment: Environment) -> list[CheckResult]:
    """Return the results; the settings of a project are shown with all others."""
    if not environment.projects:
        return [CheckResult(_SUBJECT, "ok", f"none: there is no {PROJECT_FILE} here or above")]
    return [result for project in environment.projects for result in _of_project(project, environment)]


def _of_project(project: Project, environment: Environment) -> Iterator[CheckResult]:
    exists = project.steps_folder.is_dir()
    if project.steps_folder in environment.steps_folders:
        steps = f"own steps in {STEPS_FOLDER}/" if exists else f"no folder {STEPS_FOLDER}/ beside it"
    else:
        steps = f"its folder {STEPS_FOLDER}/ is not used in enterprise mode"
    yield CheckResult(_SUBJECT, "ok", f"{project.file} ({project.folder}; {steps})")
    for name, given in project.settings(environment.variables.get("HOME", "")).items():
        source = environment.settings.sources[name]
        if source != given.origin:
            yield CheckResult(_SUBJECT, "ok", f"{given.origin}: {name} has no effect: {source} wins")
    for entry, place in project.env_files():
        yield from _of_env_file(entry.path, place, project.folder, environment)
    for key, given in project.defaults().items():
        value = msgspec.json.encode(given.value).decode()
        yield CheckResult(_SUBJECT, "ok", f"{given.origin}: defaults.{key}: {value}")


def _of_env_file(path: str, place: str, folder: Path, environment: Environment) -> Iterator[CheckResult]:
    """Yield the names of the variables that come from a file, and a warning if it is not private."""
    origin = origin_of_env_file(path, place)
    names = sorted(name for name, source in environment.origins.items() if source == origin)
    there = "" if (folder / path).exists() else " (not there)"
    yield CheckResult(_SUBJECT, "ok", f"{place}: {path}{there}: {', '.join(names) or 'no variables'}")
    if (folder / path).is_file() and others_may_read(folder / path) and Path(path).name.startswith("."):
        message = f"{folder / path} can be read by every user of this machine"
        yield CheckResult(_SUBJECT, "warning", message, f"chmod 600 {folder / path}")
