"""Warn about items of a valid scheduler file that can never fire or never start."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, pairwise

from msgspec.structs import replace

from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.diagnostics import Path as Place
from aetherflow.plan.plan import JobPlan
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import Timetable, next_tick, ticks
from aetherflow.schedule.window import leave_no_time
from aetherflow.schedule.zone import EPOCH

SAMPLED_TICKS = 100
"""How many ticks of a cron expression are sampled to find the shortest time between two of them."""


def advise_items(schedule: Schedule, sink: DiagnosticSink) -> None:
    """Warn about items that never tick or never start, and about jitter that makes firings disappear."""
    numbers = {spec.id: n for n, spec in reversed(list(enumerate(schedule.spec.items)))}
    for item in schedule.enabled:
        base: Place = ("items", numbers[item.id])
        never = next_tick(item.ticks_that_run, EPOCH) is None and not item.table.trigger.at_boot
        if never or leave_no_time(item.windows, item.table.zone):
            _warn_never(item, base, sink)
            continue
        _warn_of_disabled(item, base, schedule.items, sink)
        _warn_of_jitter(item, base, sink)


def advise_pools(
    item: Item, base: Place, jobs: list[JobPlan], sizes: Mapping[str, int], sink: DiagnosticSink
) -> None:
    """Warn about steps that need more slots than the scheduler file gives their pool."""
    for job in jobs:
        for _, step in job.written_steps():
            pool, wanted = step.spec.pool or "", step.spec.slots
            if wanted > sizes.get(pool, wanted):
                message = (
                    f"item {item.id!r}: step {job.id}.{step.id} of its flow wants {wanted} slots of the pool "
                )
                message += f"{pool!r}, which has {sizes[pool]}"
                hint = f"lower slots of the step, or enlarge pools.{pool}"
                sink.add((*base, "flow_yaml"), "AF641", message, hint, "warning")


def _warn_never(item: Item, base: Place, sink: DiagnosticSink) -> None:
    if next_tick(item.table, EPOCH) is not None or leave_no_time(item.windows, item.table.zone):
        where = "not_between" if item.spec.not_between else "calendar"
        why, hint = "all its ticks are in windows (not_between)", "correct its times, or the windows"
        if leave_no_time(item.windows, item.table.zone):
            why, hint = "its windows leave no time (not_between)", "leave a time between them"
    elif next_tick(replace(item.table, calendar=None), EPOCH) is not None:
        where, why = "calendar", f"none of its ticks is on a date of the calendar {item.spec.calendar!r}"
        hint = "correct its times, or the calendar"
    else:
        where = "cron" if item.spec.at is None else "at"
        why = f"{item.spec.at or item.spec.cron} never comes on the clocks of {item.zone}"
        hint = "write a time that exists there, or dst_gap: run_once"
    sink.add((*base, where), "AF213", f"item {item.id!r} never fires: {why}", hint, "warning")


def _warn_of_disabled(item: Item, base: Place, items: Mapping[str, Item], sink: DiagnosticSink) -> None:
    for place, name in enumerate(one.item for one in item.after):
        if name in items and not items[name].spec.enabled:
            message = f"item {item.id!r} never starts by itself: it follows {name!r}, which is disabled"
            hint = f"enable {name!r}, or take it out of after"
            sink.add((*base, "after", place), "AF213", message, hint, "warning")


def _warn_of_jitter(item: Item, base: Place, sink: DiagnosticSink) -> None:
    spec = item.spec
    if not spec.jitter_seconds or not spec.coalesce or spec.catch_up == "all":
        return
    between = _shortest(item.table)
    if between is not None and spec.jitter_seconds >= between:
        message = (
            f"item {spec.id!r}: jitter_seconds {spec.jitter_seconds} may delay a tick up to the next one, "
        )
        message += f"{between} s later; of ticks that are due at once only the newest runs (coalesce)"
        hint = f"make jitter_seconds less than {between}, or fire less often"
        sink.add((*base, "jitter_seconds"), "AF214", message, hint, "warning")


def _shortest(table: Timetable) -> int | None:
    """Return the shortest time between two ticks that follow each other; None if there is one at most."""
    if table.trigger.shortest is not None:
        return table.trigger.shortest
    looked = islice(ticks(table, EPOCH, EPOCH.replace(year=EPOCH.year + 30)), SAMPLED_TICKS)
    return min((round((after - one).total_seconds()) for one, after in pairwise(looked)), default=None)
