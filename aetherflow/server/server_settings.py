"""Read the settings and state path of a server from its scheduler files, which must agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.project import project_here, project_of
from aetherflow.errors import UsageError
from aetherflow.file_access import FileAccess
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.redaction import Redactor
from aetherflow.schedule.item import Schedule
from aetherflow.spec.flow import OnCrash
from aetherflow.store.old_database import beside_old
from aetherflow.written_path import UnclearPath, folder_of, setting_path, written_path

MAX_PARALLEL_RUNS = 8
SHUTDOWN_GRACE_SECONDS = 60.0
SERVER_SETTINGS = ("log_level", "log_format", "file_access", "metrics_address")
"""Settings that are the same for all runs of a server."""


class ScheduleConflict(UsageError):
    """Scheduler files contradict each other, or what a server serves."""

    default_code = "AF206"


class ServerSettings(msgspec.Struct, frozen=True):
    """How many runs a server executes at a time, how long it waits for them to end, what follows a crash.

    Attributes:
        file_access: who may read the state database, if the server makes it.
        strict: refuse a file with items that cannot run.
    """

    max_parallel_runs: int = MAX_PARALLEL_RUNS
    shutdown_grace_seconds: float = SHUTDOWN_GRACE_SECONDS
    on_crash: OnCrash = "resume"
    pools: dict[str, int] = {}
    file_access: FileAccess = "private"
    strict: bool = False


def settings_of(schedules: Sequence[Schedule]) -> ServerSettings:
    """Merge the settings of the files.

    Raises:
        ScheduleConflict: two files have different values for a setting.
    """
    settings: dict[str, Any] = {}
    for name in ("max_parallel_runs", "shutdown_grace_seconds", "on_crash"):
        for schedule in schedules:
            value = getattr(schedule.spec, name)
            if value is not None and settings.setdefault(name, value) != value:
                raise _contradiction(name, settings[name], value)
    pools: dict[str, int] = {}
    for schedule in schedules:
        for pool, slots in schedule.spec.pools.items():
            if pools.setdefault(pool, slots) != slots:
                raise _contradiction(f"pools.{pool}", pools[pool], slots)
    return ServerSettings(**settings, pools=pools)


def server_environment(
    files: Sequence[Path],
    process_env: Mapping[str, str],
    redactor: Redactor | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Environment:
    """Return the environment of a server, with the project of its files, or of the working directory.

    `warn` is called with each project file that is ignored.

    Flows have projects of their own; what cannot differ within one process is the server's.

    Raises:
        ScheduleConflict: the projects of two files have different values for a setting of the server.
        ConfigError: a setting cannot be used.
        InvalidInput: a project file is wrong.
    """
    first, *others = server_environments(files, process_env, redactor, warn)
    for name in SERVER_SETTINGS:
        for other in others:
            one, another = getattr(first.settings, name), getattr(other.settings, name)
            if one != another:
                raise _contradiction(name, one, another)
    return first


def server_environments(
    files: Sequence[Path],
    process_env: Mapping[str, str],
    redactor: Redactor | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Environment]:
    """Return the environment of each project of the files; without files that of the working directory.

    `warn` is called with each project file that is ignored.

    Raises:
        ConfigError: a setting cannot be used.
        InvalidInput: a project file is wrong.
    """
    found = [project_of(file) for file in files] or [project_here()]
    for ignored in dict.fromkeys(ignored for one in found for ignored in one.ignored):
        warn(str(ignored))
    projects = [one.project for one in found]
    different = {project.file if project else "": project for project in projects}
    return [
        load_environment(process_env, project=project, redactor=redactor) for project in different.values()
    ]


def state_path_of(schedules: Sequence[Schedule], state: Path | None, process_env: Mapping[str, str]) -> Path:
    """Return the path of the state database: `state` if given, else the one of the files or the settings.

    A path in a file may contain templates with `env`; a relative path starts at the folder of the file.

    Raises:
        ScheduleConflict: two files name different databases.
    """
    if state is not None:
        return beside_old(setting_path(str(state)))
    named: dict[Path, Path] = {}
    for schedule in schedules:
        environment = server_environment([schedule.file], process_env)
        text = schedule.spec.state.path
        if text:
            try:
                rendered = compile_template(text)[0].render({"env": environment.variables})
            except TemplateError as error:
                raise UsageError(
                    f"{schedule.file}: state.path: {error.message}", hint=error.hint, code=error.code
                ) from None
            named[_written(schedule.file, str(rendered), environment.variables)] = schedule.file
        else:
            named[environment.settings.state_database] = schedule.file
    if len(named) > 1:
        listed = ", ".join(f"{file}: {path}" for path, file in named.items())
        raise ScheduleConflict(
            f"the scheduler files have different state databases ({listed})",
            hint="give them the same state.path, add --state FILE, or serve them apart",
        )
    if not named:
        return beside_old(server_environment([], process_env).settings.state_database)
    return beside_old(next(iter(named)))


def _written(file: Path, text: str, env: Mapping[str, str]) -> Path:
    try:
        return written_path(text, folder_of(file), home=env.get("HOME", ""))
    except UnclearPath as error:
        raise UsageError(f"{file}: state.path: {error.message}", hint=error.hint, code=error.code) from None


def _contradiction(key: str, one: object, other: object) -> ScheduleConflict:
    return ScheduleConflict(
        f"the scheduler files contradict each other: {key} is {one} and {other}",
        hint="say it in one of them, or serve them apart",
    )
