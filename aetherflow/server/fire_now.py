"""Fire an item by hand for `scheduler fire`: a running server takes it up, or this process runs it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import anyio
import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import FiringTaken, UsageError
from aetherflow.runs.adoption import adoption_sentence
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.received_signals import ReceivedSignals
from aetherflow.runs.stop_notices import advice_for
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.firing_decision import FiringDecider
from aetherflow.scheduler.manual_source import ManualSource, StoredFirings
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.requested_tick import NO_PARAMS, held, is_tick_of
from aetherflow.scheduler.server_clocks import StandsBy
from aetherflow.server.given_params import given_params, past_instant
from aetherflow.server.in_force import (
    AskedFile,
    InForce,
    ask_file,
    in_force,
    served_files,
    state_path_asked,
)
from aetherflow.server.last_resort import forced_end
from aetherflow.server.on_late_runs import report_end
from aetherflow.server.open_server import Server, open_server
from aetherflow.server.server_settings import ServerSettings, server_environment, settings_of
from aetherflow.server.server_status import ServerStatus
from aetherflow.spec.suggest import did_you_mean
from aetherflow.stop_signals import name_of
from aetherflow.store.database import Database
from aetherflow.store.filesystem import is_missing
from aetherflow.store.firings import Firing, close_firing, find_firing
from aetherflow.store.old_database import old_beside
from aetherflow.store.pauses import pause_in_force, read_pauses
from aetherflow.store.schedule_items import known_items
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("params of a firing", 1)


class CannotFire(UsageError):
    """There is no such item, or no server serves it."""

    default_code = "AF209"


class _Asked(msgspec.Struct, frozen=True):
    """The item to fire, for which time that has passed, and the params that were given with it, as JSON."""

    item: Item
    at: datetime | None = None
    params: str = NO_PARAMS


class FoundItem(msgspec.Struct, frozen=True):
    """An item that is in force.

    Attributes:
        live: the live servers of its file.
        problem: what is wrong with the file on the disk.
    """

    schedule: Schedule
    item: Item
    live: list[ServerStatus]
    problem: str


class Fired(msgspec.Struct, frozen=True):
    """A firing by hand.

    Attributes:
        server: takes it up; empty if it does not run.
        received: the first signal that stopped it, if it ran in this process.
        paused: why the item does not tick now, if it is paused; a firing by hand runs all the same.
        problem: what is wrong with the scheduler file on the disk; the version in force was fired.
        zone: that of the item, for people.
        is_tick: whether the time that was given is one of the item's; true without one.
    """

    scheduler: str
    item: str
    scheduled_at: str
    outcome: str
    run_id: str | None
    reason: str
    server: str
    received: int | None = None
    paused: str = ""
    problem: str = ""
    zone: str = "UTC"
    is_tick: bool = True


async def fire(
    name: str,
    file: Path | None,
    state: Path | None,
    *,
    here: bool,
    at: str = "",
    params: Sequence[tuple[str, str]] = (),
    observers: Sequence[ObserverSpec] = (),
    clock: Clock | None = None,
) -> Fired:
    """Fire an item; with `here`, return when its run has ended.

    `at` is the scheduled time of the firing, on the clocks of the item if it has no offset; `params` win over
    those of the item.

    Raises:
        CannotFire: there is no such item, or no server serves it, or the time is not past.
        TickTaken: the firing of that time has succeeded, or is open.
        HeldByAnother: the item's overlap rule keeps it from running now.
        InvalidInput: the scheduler file is wrong.
        StateError: the state database cannot be used.
    """
    clock = clock or SystemClock()
    asked_file = ask_file(file) if file is not None else None
    if asked_file is not None and asked_file.error is not None and here:
        raise asked_file.error
    schedules = asked_file.schedules if asked_file is not None else []
    path = state_path_asked(asked_file, state, os.environ)
    if not here and is_missing(path):
        raise unserved(schedules, path)
    adopts = old_beside(path) if is_missing(path) else None
    access = server_environment([one.file for one in schedules], os.environ).settings.file_access
    database = await Database.open(path, access=access)
    try:
        found = await find_item(database, name, asked_file, clock, here=here)
        schedule, item = found.schedule, found.item
        paused = await database.read(lambda raw: _paused(raw, item, clock.now()))
        if not here and not found.live:
            raise unserved([schedule], path)
        asked = _Asked(item, past_instant(at, item, clock.now()) if at else None)
        is_tick = asked.at is None or is_tick_of(item, asked.at)
        if params:
            given = await params_json(item, params, asked.at or clock.now())
            asked = msgspec.structs.replace(asked, params=given)
        if not here:
            firing = await _fire(database, "", asked, clock, may_wait=True)
            return msgspec.structs.replace(
                _fired(firing, f"{found.live[0].owner}"),
                paused=paused,
                problem=found.problem,
                zone=item.zone,
                is_tick=is_tick,
            )
    finally:
        await database.aclose()
    settings = msgspec.structs.replace(settings_of([schedule]), file_access=access)
    fired = await _fire_here(schedule, asked, path, settings, observers, clock, adopts)
    return msgspec.structs.replace(fired, paused=paused, zone=item.zone, is_tick=is_tick)


def _paused(raw: sqlite3.Connection, item: Item, now: datetime) -> str:
    pause = pause_in_force(read_pauses(raw, item.scheduler), item.id, now)
    return "" if pause is None else reason_of(pause, item.zone)


async def find_item(
    database: Database,
    name: str,
    asked: AskedFile | None,
    clock: Clock,
    *,
    here: bool = False,
    runs_here: bool = True,
) -> FoundItem:
    """Return an item of a scheduler file as it is in force, or else of those that servers serve.

    With `here`, a file that is named counts as it is on the disk. `runs_here`: the command has that option.

    Raises:
        CannotFire: there is no such item.
        InvalidInput: its file is wrong, and no server has it in force.
        StateError: the state database cannot be used.
    """
    served = await database.read(lambda raw: served_files(raw, clock.now()))
    candidates = in_force({} if here and asked else served, asked)
    known = await database.read(lambda raw: {one: list(known_items(raw, one)) for one in candidates})
    schedule, item = _find_item(name, candidates, known, database.path, runs_here=runs_here)
    live = served[schedule.id].live if schedule.id in served else []
    return FoundItem(schedule, item, live, candidates[schedule.id].problem_text)


async def params_json(item: Item, params: Sequence[tuple[str, str]], scheduled: datetime) -> str:
    """Return the params that a person gives, checked, as they are stored.

    Raises:
        UnfitRequest: one is a secret.
        ParamsError: they do not fit the flow.
    """
    if not params:
        return NO_PARAMS
    return json.dumps(await _threads.run(given_params, item, params, scheduled, dict(os.environ)))


def _find_item(
    name: str,
    schedules: Mapping[str, InForce],
    known: Mapping[str, Sequence[str]],
    state: Path,
    *,
    runs_here: bool,
) -> tuple[Schedule, Item]:
    """Return the item of that name, or of the name FILE_ID/ITEM where several files have one.

    A file that cannot be read at all matters only to its own items: those that are `known` from before.
    """
    scheduler, _, short = name.rpartition("/")
    items = {
        one: known[one] if found.schedule is None else list(found.schedule.items)
        for one, found in schedules.items()
    }
    having = [one for one in schedules if short in items[one] and scheduler in ("", one)]
    if len(having) > 1:
        names = ", ".join(f"{one}/{short}" for one in having)
        raise CannotFire(f"several scheduler files have an item {short!r}", hint=f"name one of {names}")
    for one in having:
        found = schedules[one]
        if found.schedule is None:
            raise found.problem or unserved([], state, runs_here=runs_here)
        return found.schedule, found.schedule.items[short]
    if not schedules:
        raise unserved([], state, runs_here=runs_here)
    every = [item for one in schedules for item in items[one]]
    hint = did_you_mean(short, every) or f"the items are {', '.join(every[:20])}"
    raise CannotFire(f"there is no item {name!r}", hint=hint)


def unserved(schedules: Sequence[Schedule], state: Path, *, runs_here: bool = True) -> CannotFire:
    """Return the error of an item that no server would run."""
    if not schedules:
        return CannotFire(
            f"no server uses the state database {state}",
            hint="start one: aetherflow serve FILE; "
            + (
                "or run the item in this process: --file FILE --here"
                if runs_here
                else "--file FILE --dry-run shows the ticks without one"
            ),
        )
    return CannotFire(
        f"no server serves {schedules[0].file} on {state}, so no server would run it",
        hint="start one: aetherflow serve FILE"
        + ("; or add --here to run it in this process" if runs_here else ""),
    )


async def _fire_here(
    schedule: Schedule,
    asked: _Asked,
    state: Path,
    settings: ServerSettings,
    observers: Sequence[ObserverSpec],
    clock: Clock,
    adopts: Path | None,
) -> Fired:
    received: list[int] = []
    item = asked.item
    with forced_end() as forced, ReceivedSignals(forced.count) as signals:
        async with open_server([schedule], settings, state, observers, clock, os.environ) as server:
            signals.open()
            if adopts is not None:
                server.report(adoption_sentence(adopts, state), level="info", code="AF185")
            firing = await _fire(server.database, server.lease.name, asked, clock, may_wait=False)
            if firing.outcome != "QUEUED":
                raise held(item, firing.reason)
            server.scheduler.adopt(schedule)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.run_pool.run)
                async with anyio.create_task_group() as helping:
                    helping.start_soon(server.lease.keep)
                    await server.scheduler.submit(item, firing)
                    helping.start_soon(_follow_signals, signals, server, firing, received)
                    await server.run_pool.idle()
                    ended = await server.database.read(lambda raw: find_firing(raw, firing.firing_id))
                    if ended is not None:
                        with suppress(StandsBy):  # a server with which the clocks disagree reports it
                            await report_end(server, ended)
                        await server.run_pool.idle()
                    helping.cancel_scope.cancel()
                await server.run_pool.drain(0)
            ended = await server.database.transact(
                lambda raw: _close_unstarted(raw, firing, server.lease.name, clock.now())
            )
    if ended.is_open:
        raise FiringTaken(
            f"run {ended.run_id} of item {item.id!r} was taken over by a server: this process was paused",
            hint=f"aetherflow runs show {ended.run_id} shows how it ends",
        )
    return _fired(ended, "this process", received[0] if received else None)


async def _fire(database: Database, server: str, asked: _Asked, clock: Clock, *, may_wait: bool) -> Firing:
    """Store a firing by hand, of a server, or of none yet; one that may not wait is skipped instead."""
    decider = FiringDecider(server, clock.now, clock.new_id)
    source = ManualSource(decider, asked.item, may_wait=may_wait, at=asked.at, params=asked.params)
    return await source.fire_next(StoredFirings(database))


def _close_unstarted(raw: sqlite3.Connection, firing: Firing, server: str, now: datetime) -> Firing:
    """Return a firing after its run; one whose run could not start, since a lock is held, is closed."""
    left = find_firing(raw, firing.firing_id) or firing
    if left.is_open and close_firing(raw, left.firing_id, server, "SKIPPED", left.reason, now):
        return find_firing(raw, firing.firing_id) or firing
    return left


async def _follow_signals(
    signals: ReceivedSignals, server: Server, firing: Firing, received: list[int]
) -> None:
    async for number in signals:
        if received:
            server.states.hurry(0)
            server.run_pool.force()
        else:
            advice = advice_for(number)
            if not await server.run_pool.cancel(firing.run_id or "", name_of(number), advice):
                sends = f"the run has ended, its messages are sent; {advice.again} cuts them off"
                server.report(f"{advice.name}: {sends}", level="warning", code="")
        received.append(number)


def _fired(firing: Firing, server: str, received: int | None = None) -> Fired:
    return Fired(
        scheduler=firing.scheduler,
        item=firing.item_id,
        scheduled_at=firing.scheduled_at,
        outcome=firing.outcome,
        run_id=firing.run_id,
        reason=firing.reason,
        server=server if firing.is_open or firing.run_id else "",
        received=received,
    )
