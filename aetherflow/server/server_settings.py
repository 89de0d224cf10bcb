"""Read the settings of a server from its scheduler files, which must not contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aetherflow.errors import UsageError
from aetherflow.schedule.item import Schedule
from aetherflow.spec.schedule import OnCrash

MAX_PARALLEL_RUNS = 8
SHUTDOWN_GRACE_SECONDS = 60.0


class ScheduleConflict(UsageError):
    """Scheduler files contradict each other, or what a server serves."""

    default_code = "AF206"


class ServerSettings(msgspec.Struct, frozen=True):
    """How many runs a server executes at a time, how long it lets them end, what follows a crash."""

    max_parallel_runs: int = MAX_PARALLEL_RUNS
    shutdown_grace_seconds: float = SHUTDOWN_GRACE_SECONDS
    on_crash: OnCrash = "resume"
    pools: dict[str, int] = {}


def settings_of(schedules: Sequence[Schedule]) -> ServerSettings:
    """Return what the files say together.

    Raises:
        ScheduleConflict: two files say different things.
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


def _contradiction(key: str, one: object, other: object) -> ScheduleConflict:
    return ScheduleConflict(
        f"the scheduler files contradict each other: {key} is {one} and {other}",
        hint="say it in one of them, or serve them apart",
    )
