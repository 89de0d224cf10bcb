"""`aetherflow scheduler next|simulate|status|fire`: ask the app, print the answer."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path

import anyio
import msgspec

from aetherflow.admin.forecast import Forecast, next_firings, parse_instant, simulate, zone_of
from aetherflow.cli.output import print_json, print_text, say
from aetherflow.cli.serve import chosen_observers
from aetherflow.cli.state_access import ask_state
from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother, StateUnusable, UsageError
from aetherflow.observe.text import duration
from aetherflow.server.fire_now import Fired, fire
from aetherflow.server.schedule_files import load_schedule, state_of_schedules
from aetherflow.server.scheduler_status import ItemStatus, SchedulerStatus
from aetherflow.store.filesystem import is_missing

EXIT_CODES = {"SUCCESS": 0, "FAILED": 1, "CANCELLED": 128 + signal.SIGINT, "SKIPPED": HeldByAnother.exit_code}


class FireOptions(msgspec.Struct, frozen=True):
    """The options of `scheduler fire` as they were typed."""

    item: str
    file: Path | None
    state: Path | None
    here: bool
    log_format: str
    debug: bool
    as_json: bool


def show_next(file: Path, count: int, *, as_json: bool) -> None:
    """Print the next firings of a file."""
    found = next_firings(load_schedule(file), SystemClock().now(), count)
    _print_forecasts(found, as_json=as_json, nothing="no item fires any more")


def show_simulation(file: Path, begin: str, end: str, state: Path | None, *, as_json: bool) -> None:
    """Print every firing of a time."""
    schedule = load_schedule(file)
    zone = zone_of(schedule)
    path = state_of_schedules([schedule], state, os.environ)
    durations: dict[str, list[float]] = {}
    if not is_missing(path):
        durations = ask_state(path, lambda ask: ask.run_seconds(schedule))
    found = simulate(schedule, parse_instant(begin, zone), parse_instant(end, zone), durations)
    _print_forecasts(found, as_json=as_json, nothing="no item fires in that time")


def show_status(file: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Print how the scheduler stands.

    Raises:
        StateUnusable: there is no state database yet.
    """
    schedules = [load_schedule(file)] if file is not None else []
    path = state_of_schedules(schedules, state, os.environ)
    if is_missing(path):
        raise StateUnusable(
            f"there is no state database {path}",
            hint="a server makes it; name another one: --state FILE",
            code="AF605",
        )
    known = {schedule.id: schedule for schedule in schedules}
    found = ask_state(path, lambda ask: ask.schedulers(known))
    if as_json:
        print_json({"state": str(path), "schedulers": found})
        return
    if not found:
        print_text(f"no server serves anything on {path}")
        say("aetherflow scheduler status SCHEDULER.yaml shows what its items did")
    for one in found:
        _print_status(one)


def fire_item(options: FireOptions) -> int:
    """Fire an item by hand; 0 if it was taken up or succeeded, 75 if the overlap rule forbids it."""
    log_format = options.log_format
    if options.as_json and log_format == "json":
        raise UsageError(
            "--json and --log-format json would both write to standard output", hint="leave one of them out"
        )
    if options.as_json:
        log_format = "text"  # also where the settings say json: standard output is the report's

    async def do() -> Fired:
        observers = await chosen_observers(log_format, debug=options.debug) if options.here else []
        return await fire(options.item, options.file, options.state, here=options.here, observers=observers)

    fired = anyio.run(do)
    if options.as_json:
        print_json(fired)
    elif fired.outcome in ("QUEUED", "WAITING"):
        why = f", it waits: {fired.reason}" if fired.reason else ""
        print_text(f"{fired.item}: run {fired.run_id} is taken up by {fired.server}{why}")
    else:
        of_run = f" (run {fired.run_id})" if fired.run_id else ""
        print_text(f"{fired.item}: {fired.outcome}{of_run}" + (f": {fired.reason}" if fired.reason else ""))
    if fired.outcome == "CANCELLED" and fired.reason == signal.SIGTERM.name:
        return 128 + signal.SIGTERM
    return EXIT_CODES.get(fired.outcome, 0)


def _print_forecasts(found: list[Forecast], *, as_json: bool, nothing: str) -> None:
    if as_json:
        print_json(found)
        return
    for one in found:
        noted = f"  ({'; '.join(one.notes)})" if one.notes else ""
        runs = "" if one.runs else "not run: "
        print_text(f"{one.local}  {_utc(one.scheduled)}  {runs}{one.item}{noted}")
    if not found:
        say(nothing)


def _print_status(one: SchedulerStatus) -> None:
    print_text(f"{one.scheduler}" + (f" ({one.file})" if one.file != one.scheduler else ""))
    for server in one.servers:
        print_text(f"  server {server.server}: {server.owner} since {server.since} ({server.validity})")
    if not one.servers:
        print_text("  no server")
    if one.problem:
        print_text(f"  the file is wrong now, the one before is in force: {one.problem}")
    for item in one.items:
        print_text(f"  {item.item}: {_described(item)}")


def _described(item: ItemStatus) -> str:
    told = ["never fired"]
    if item.last is not None:
        told = [f"last {item.last[:19]}Z {item.outcome}"]
        told += [f"run {item.run_id}"] if item.run_id else []
        told += [item.reason] if item.reason else []
        told += [f"lag {duration(item.lag_seconds)}"] if item.lag_seconds is not None else []
    without = {True: "no next firing", False: "disabled", None: "next not known"}[item.enabled]
    told.append(f"next {item.next}" if item.next else without)
    told += [f"due since {item.due_since}, nobody has decided"] if item.due_since else []
    for number, what in ((item.running, "running"), (item.queued, "queued"), (item.waiting, "waiting")):
        told += [f"{number} {what}"] if number else []
    return ", ".join(told)


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
