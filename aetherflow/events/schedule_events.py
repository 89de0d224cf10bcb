"""The events of a scheduler, for observers. Not stored: the state database has the firings themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.events.run_events import Event

LateKind = Literal["late_start", "late_end", "long", "missed", "never_ran"]
"""What may be wrong with a tick: its run starts too late, ends too late or takes unusually long; it has no
run; or the item has had no run at all."""

EndKind = Literal["failure", "recovery", "success"]
"""What a message about a run that has ended reports; it is no event, as the end of the run is one."""

AlertKind = LateKind | EndKind

DID_NOT_RUN: frozenset[AlertKind] = frozenset({"missed", "never_ran"})
"""A tick has one of these: once it is known that the item never ran, the next look would find `missed`."""


class ScheduleEvent(Event, frozen=True, kw_only=True):
    """The fields of every scheduler event; `flow_id` and `run_id` are empty if there is no run."""

    scheduler: str
    flow_id: str = ""
    run_id: str = ""


class FiringScheduled(ScheduleEvent, frozen=True, kw_only=True):
    """An item fired: its run is queued, or waits for something first.

    Attributes:
        late_seconds: how long after its time (with jitter) that was decided.
    """

    item_id: str
    scheduled_at: datetime
    outcome: Literal["QUEUED", "WAITING"]
    cause: Literal["tick", "catch_up", "manual", "backfill", "event"] = "tick"
    reason: str = ""
    late_seconds: float = 0.0


class FiringMissed(ScheduleEvent, frozen=True, kw_only=True):
    """Ticks of an item that do not run, and why: `ticks` of them, the last one at `scheduled_at`.

    After downtime, one event is for all ticks that do not run for one reason; each has its row.

    Attributes:
        first_at: the first of several.
        runs: how many other ticks of the item that were due then do run.
        is_planned: a person or the file says so: a pause or a window. It is no warning.
    """

    item_id: str
    scheduled_at: datetime
    outcome: Literal["SKIPPED", "MISSED", "CANCELLED"]
    reason: str
    ticks: int = 1
    first_at: datetime | None = None
    runs: int = 0
    is_planned: bool = False


class FiringTakenOver(ScheduleEvent, frozen=True, kw_only=True):
    """This server takes over a firing of a server that died, or gave it back; its run keeps its id."""

    item_id: str
    scheduled_at: datetime
    outcome: str
    previous_server: str = ""


class FiringFinished(ScheduleEvent, frozen=True, kw_only=True):
    """The run of a firing ended, or could not begin (FAILED, with the reason)."""

    item_id: str
    scheduled_at: datetime
    outcome: Literal["SUCCESS", "FAILED", "CANCELLED"]
    reason: str = ""


class FiringLate(ScheduleEvent, frozen=True, kw_only=True):
    """A tick of an item with a `deadline` or `on_late` is late; `run_id` is its run. Reported once.

    Attributes:
        ticks: how many ticks it is about, up to this one.
        on_late_run: the run that reports it, by the steps of `on_late` or the messages of `notify`.
    """

    item_id: str
    scheduled_at: datetime
    alert: LateKind
    reason: str
    ticks: int = 1
    on_late_run: str = ""


class LeftFiring(msgspec.Struct, frozen=True):
    """An open firing that no live server has: a server takes it over.

    Attributes:
        scheduled_at: with the offset of the item's zone.
        outcome: what had become of it.
        run_id: its run, if it had one.
    """

    scheduled_at: datetime
    outcome: str
    run_id: str = ""


class UpcomingItem(msgspec.Struct, frozen=True):
    """An item of a loaded scheduler file, and when it fires next.

    Attributes:
        item_id: the item.
        next_at: the scheduled time, with the offset of the item's zone; None if no firing is ahead.
        enabled: false: it does not fire until its file says so.
        after: the items whose runs must have succeeded before; with the period if that is not the same day.
        paused: by whom it is paused, until when and why; empty if it is not.
        overdue_since: the first tick that is due and not decided yet, in the item's zone.
        at_boot: it fires when the machine has booted, and has no times.
        fires_now: it fires now, since the machine has booted and it has not fired since.
        left: the first firings to take over.
        left_count: how many firings there are to take over.
        missing: its flow or manifest, if that file does not exist.
    """

    item_id: str
    next_at: datetime | None
    enabled: bool = True
    after: tuple[str, ...] = ()
    paused: str = ""
    overdue_since: datetime | None = None
    at_boot: bool = False
    fires_now: bool = False
    left: tuple[LeftFiring, ...] = ()
    left_count: int = 0
    missing: str = ""


class ScheduleLoaded(ScheduleEvent, frozen=True, kw_only=True):
    """A scheduler file was loaded, for the first time or because it has changed.

    Attributes:
        upcoming: the items that are new or changed, at first all, in the order of the file; the first 300.
    """

    file: str
    item_count: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    is_first: bool = False
    upcoming: tuple[UpcomingItem, ...] = ()


class ScheduleUpcoming(ScheduleEvent, frozen=True, kw_only=True):
    """More of the items of a `schedule_loaded` that lists over 300: up to 300, from the number `first` on.

    Attributes:
        first: counted from 1, in the order of the file.
        listed: how many items are listed in all, with those of `schedule_loaded`.
    """

    file: str
    first: int
    listed: int
    upcoming: tuple[UpcomingItem, ...] = ()


class ScheduleInvalid(ScheduleEvent, frozen=True, kw_only=True):
    """A scheduler file was changed and is not valid; the server still uses the version loaded before."""

    file: str
    problem: str


class ScheduleNotice(ScheduleEvent, frozen=True, kw_only=True):
    """A message to people about a scheduler: a clock that went back, a server that lost its lease."""

    message: str
    level: Literal["info", "warning", "error"] = "warning"
    code: str = ""
    item_id: str = ""
