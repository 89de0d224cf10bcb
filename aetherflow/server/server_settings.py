"""Read the settings and state path of a server from its scheduler files, which must agree with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.environment import load_environment
from aetherflow.errors import UsageError
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.schedule.item import Schedule
from aetherflow.spec.flow import OnCrash
from aetherflow.store.old_database import beside_old
from aetherflow.working_directory import absolute
from aetherflow.written_path import UnclearPath, folder_of, setting_path, written_path

MAX_PARALLEL_RUNS = 8
SHUTDOWN_GRACE_SECONDS = 60.0


class ScheduleConflict(UsageError):
    """Scheduler files contradict each other, or what a server serves."""

    default_code = "AF206"


class ServerSettings(msgspec.Struct, frozen=True):
    """How many runs a server executes at a time, how long it waits for them to end, what follows a crash."""

    max_parallel_runs: int = MAX_PARALLEL_RUNS
    shutdown_grace_seconds: float = SHUTDOWN_GRACE_SECONDS
    on_crash: OnCrash = "resume"
    pools: dict[str, int] = {}


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


def state_path_of(schedules: Sequence[Schedule], state: Path | None, process_env: Mapping[str, str]) -> Path:
    """Return the path of the state database: `state` if given, else the one of the files or the settings.

    A path in a file may contain templates with `env`; a relative path starts at the folder of the file.

    Raises:
        ScheduleConflict: two files name different databases.
    """
    if state is not None:
        return beside_old(setting_path(str(state)))
    environment = load_environment(process_env)
    named: dict[Path, Path] = {}
    for schedule in schedules:
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
            named[absolute(environment.settings.state_root / "aetherflow.sqlite")] = schedule.file
    if len(named) > 1:
        listed = ", ".join(f"{file}: {path}" for path, file in named.items())
        raise ScheduleConflict(
            f"the scheduler files have different state databases ({listed})",
            hint="give them the same state.path, add --state FILE, or serve them apart",
        )
    return beside_old(next(iter(named), absolute(environment.settings.state_root / "aetherflow.sqlite")))


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
