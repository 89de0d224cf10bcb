"""AF2xx: the scheduler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from aetherflow.clock import SystemClock
from aetherflow.runs.run_ticket import Refusal
from aetherflow.server.firing_runs import claim_firing
from aetherflow.server.on_late_runs import refused
from aetherflow.server.open_server import server_notice
from aetherflow.server.server_lease import ServerLease
from aetherflow.store.database import Database
from tests.diagnostics.case import OK, Case, Told
from tests.store.clock_double import FakeClock

VALIDATE = "aetherflow validate scheduler.yaml"
NEXT = "aetherflow scheduler next scheduler.yaml"


def item(keys: str, more: str = "", script: str = NEXT, flow: str = OK) -> Case:
    """Return the case of a scheduler file with an item `a` of these keys."""
    return Case(flow, script, {"scheduler.yaml": f"version: 1\n{more}items:\n  - {{id: a, {keys}}}\n"})


async def _taken(folder: Path) -> None:
    """Let a server begin the run of a firing that the database does not give it."""
    database = await Database.open(folder / "state.sqlite")
    firing: Any = SimpleNamespace(firing_id=1, item_id="a", scheduled_at="2026-01-01T00:00:00Z")
    try:
        await database.transact(lambda raw: claim_firing(raw, firing, "us", FakeClock()))
    finally:
        await database.aclose()


def _gone_wrong(_: Path) -> str:
    """Show what went wrong in a server that keeps running."""
    notice = server_notice("the run of item a: KeyError: 'x'", SystemClock(), ["night"])
    return f"{notice.level} {notice.code}: {notice.message}"


def _steps_gone(_: Path) -> str:
    """Show that the steps for an alert could not run."""
    refusal = Refusal("r", "error", "step type 'gone' is not known")
    notice = refused("load", refusal, SystemClock().now())
    return f"{notice.level} {notice.code}: {notice.message}"


async def _file_gone(folder: Path) -> None:
    """Let the state database of a server be deleted."""
    database = await Database.open(folder / "state.sqlite")
    clock = FakeClock()
    try:
        lease = await ServerLease.take(database, clock)
        database.path.unlink()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lease.keep)
            await clock.sleeping(1)
            clock.advance(30)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        await database.aclose()


HOURLY = "interval_seconds: 3600, flow_yaml: flow.yaml"
FIRE = "aetherflow scheduler fire a --file scheduler.yaml --here"

CASES: dict[str, Case | Told] = {
    "AF200": item(f"cron: '@daily', {HOURLY}"),
    "AF201": item(f"{HOURLY}, calendar: bankig", "calendars: {banking: {weekdays: [mon-fri]}}\n"),
    "AF202": item("interval_seconds: 3600"),
    "AF203": item(HOURLY.replace("flow.yaml", "flwo.yaml"), script=VALIDATE),
    "AF204": item(f"{HOURLY}, after: [laod]"),
    "AF205": item(f"{HOURLY}, after: [b]}}\n  - {{id: b, {HOURLY}, after: [a]"),
    "AF206": item(
        HOURLY,
        "max_parallel_runs: 4\n",
        "sed s/4/8/ scheduler.yaml > other.yaml; aetherflow serve scheduler.yaml other.yaml",
    ),
    "AF207": item(HOURLY, script=VALIDATE, flow="version: 1\n"),
    "AF208": item(f"{HOURLY}, flow_job: extrakt", script=VALIDATE),
    "AF564": item(f"{HOURLY}, deadline: {{end_by: 7 o'clock}}"),
    "AF567": Told(_steps_gone),
    "AF576": item("rrule: 'FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30', flow_yaml: flow.yaml"),
    "AF577": item(f"{HOURLY}, calendar: c", "calendars: {c: {holidays: flow.yaml}}\n"),
    "AF578": item("interval: {every: 1d12h, anchor: '2026-01-05T06:00'}, flow_yaml: flow.yaml"),
    "AF210": Told(_taken),
    "AF211": Told(_gone_wrong),
    "AF213": item(f"{HOURLY}, after: [b]}}\n  - {{id: b, {HOURLY}, enabled: false", script=VALIDATE),
    "AF214": item(f"{HOURLY}, jitter_seconds: 3600", script=VALIDATE),
    "AF212": Told(_file_gone),
    "AF209": item(HOURLY, script="aetherflow scheduler fire nightly --file scheduler.yaml --here"),
    "AF441": item(HOURLY + ', not_between: ["10pm-11pm"]'),
    "AF444": item(HOURLY, script="for n in 1 2; do " + FIRE + " --at 2026-03-02; done"),
    "AF445": item(HOURLY, script=FIRE + " --at 2099-01-01"),
    "AF447": item(
        HOURLY, script="aetherflow scheduler pause nightly --reason migration --file scheduler.yaml"
    ),
    "AF448": item(
        HOURLY, script="aetherflow scheduler pause --all --for 2x --reason x --file scheduler.yaml"
    ),
    "AF890": item(HOURLY, script="aetherflow serve scheduler.yaml --metrics nine"),
    "AF446": item(HOURLY, script=FIRE + " --json > fired.json; aetherflow scheduler cancel b123"),
}
