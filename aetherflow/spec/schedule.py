"""The scheduler file as typed, frozen Structs: exactly the keys a user may write (manual, schedules)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from aetherflow.spec.flow import (
    Identifier,
    NotifySpec,
    OnCrash,
    ParamValue,
    PositiveInt,
    PositiveSeconds,
    ResourceSpec,
    Seconds,
    StateSpec,
    StepSpec,
)
from aetherflow.spec.spelling import AS_DURATION, IS_DURATION

CatchUp = Literal["none", "latest", "all"]
OnStop = Literal["cancel", "resume"]
Overlap = Literal["skip", "queue", "cancel_running"]
DstGap = Literal["run_once", "skip"]
DstOverlap = Literal["first", "both"]

FollowedPeriod = Literal["day", "week", "month", "previous_week", "previous_month"]
Shift = Literal["skip", "next_working_day", "previous_working_day"]

Day = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\d(?!\n)$", description="a date like 2026-12-31 (year-month-day)")
]


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; `called` is how a message names it."""

    called: ClassVar[str] = "this mapping"


class CalendarSpec(_Spec, frozen=True):
    """`calendars.NAME`: the local dates on which an item may fire.

    Attributes:
        weekdays: only on these, `mon` or `mon-fri`; left out, on all (with `working_day`: Monday to Friday).
        exclude: never on these dates (holidays).
        include: on these dates too; without `weekdays`, on these alone.
        holidays: an iCalendar file (.ics), relative to this file: never on the dates of its events.
        shift: where a tick of a closed date is moved to, at the same time of day; `skip` leaves it out.
        working_day: only on this one of each month: 1 or first, 2, ... or -1 or last, -2, ...
        not_between: not in these periods of the day, `22:00-23:30` or `sat,sun 00:00-24:00`.
    """

    called = "a calendar"

    weekdays: list[str] | None = None
    exclude: list[Day] = []
    include: list[Day] = []
    holidays: str | None = None
    shift: Shift = "skip"
    working_day: int | Literal["first", "last"] | None = None
    not_between: list[str] = []


class IntervalSpec(_Spec, frozen=True):
    """`interval` of an item: so often, from an anchor on.

    Attributes:
        every: 2w or 3d, at the local time of the anchor; or 6h, 90m, 30s of elapsed time.
        anchor: the first time: a local date and time of day, or an instant with an offset.
    """

    called = "an interval"

    every: str
    anchor: str


class DeadlineSpec(_Spec, frozen=True):
    """`deadline` of an item: from when on one of its ticks is late, which is reported once.

    Attributes:
        start_within: the run must have started so long after its time.
        end_by: a local time of day; the run must be over at the first one after its time, "07:00".
        longer_than: a run is unusually long from then on: 3x (of what the runs usually take), or a duration.
    """

    called = "a deadline"

    start_within: PositiveSeconds | None = None
    end_by: str | None = None
    longer_than: str | None = None


class FollowSpec(_Spec, frozen=True):
    """An entry of `after` of an item: whose runs of which period must have succeeded.

    Attributes:
        item: the item that is followed.
        offset_days: 0 is the day of the tick, -1 the day before.
        period: that day, or its week (from Monday) or month, or the one before, whose last tick counts.
    """

    called = "an entry of after"

    item: str
    offset_days: Annotated[int, Meta(ge=-366, le=0)] = 0
    period: FollowedPeriod = "day"


class ItemSpec(_Spec, frozen=True):
    """One item: when to fire, and what to run then.

    Attributes:
        id: unique in the file; firings are known under it.
        cron: five fields, six with seconds, or a name such as @daily; or interval_seconds, or at, instead.
        interval_seconds: fires so often.
        interval: fires so often, from an anchor on.
        rrule: fires by a recurrence rule of iCalendar, FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=6.
        at: fires once: a local date and time of day, or an instant with an offset.
        timezone: an IANA name; default: that of the file.
        flow_yaml: the flow to run, relative to this file, then to the working directory.
        flow_job: run only this job, and the jobs it waits for.
        params: the parameters of the run.
        bundle_manifest: the bundle that the flow belongs to; without flow_yaml, its entry flow is run.
        allow_stale_bundle: whether the last good copy of the bundle will do.
        timeout_seconds: a run of the item that executes longer is cancelled and ends FAILED; its hooks run.
        misfire_grace_time: a firing that is late by more seconds than this is not run, and the log says so.
        max_instances: how many of its runs may execute at once.
        overlap: what happens to a firing while that many runs execute.
        coalesce: whether several missed firings become one.
        enabled: false leaves the item out.
        jitter_seconds: each firing is moved by chance, by at most so many seconds.
        catch_up: which firings that were missed while no server ran are made up for.
        catch_up_window: how many seconds back.
        catch_up_maximum: how many at most.
        calendar: fires only on the dates of this calendar.
        not_between: starts nothing in these periods of the day, `22:00-23:30` or `sat,sun 00:00-24:00`.
        after: items whose runs of the same local day, or of another period, must have succeeded before.
        dst_gap: what a time does that clocks skip.
        dst_overlap: what a time does that clocks show twice.
        priority: of runs that wait for a slot, the higher goes first.
        on_stop: what happens to a run that does not end in time when the server stops; default: the file's.
        deadline: when a run is late to start, late to end or unusually long.
        on_late: steps that run when something is late, unusually long, missed, or has never run.
        notify: who gets a message about its runs, instead of those whom the file names; []: nobody.
        description: what it is for.
    """

    called = "an item"

    id: Identifier
    cron: str | None = None
    interval_seconds: (
        Annotated[int, Meta(ge=1, le=315_360_000, extra=IS_DURATION, extra_json_schema=AS_DURATION)] | None
    ) = None
    interval: IntervalSpec | None = None
    rrule: str | None = None
    at: str | None = None
    timezone: str | None = None
    flow_yaml: str | None = None
    flow_job: str | None = None
    params: dict[str, ParamValue] = {}
    bundle_manifest: str | None = None
    allow_stale_bundle: bool = False
    timeout_seconds: PositiveSeconds | None = None
    misfire_grace_time: Seconds = 300
    max_instances: PositiveInt = 1
    overlap: Overlap = "skip"
    coalesce: bool = True
    enabled: bool = True
    jitter_seconds: Annotated[
        int, Meta(ge=0, le=86_400, extra=IS_DURATION, extra_json_schema=AS_DURATION)
    ] = 0
    catch_up: CatchUp = "none"
    catch_up_window: PositiveSeconds | None = None
    catch_up_maximum: PositiveInt = 100
    calendar: str | None = None
    not_between: list[str] = []
    after: list[str | FollowSpec] = []
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    priority: int = 0
    on_stop: OnStop | None = None
    deadline: DeadlineSpec | None = None
    on_late: list[StepSpec] = []
    notify: list[NotifySpec] | None = None
    description: str = ""


class ScheduleFile(_Spec, frozen=True):
    """The whole file.

    Attributes:
        id: what the items are known under in the state database; without it, the path of the file.
        pools: slots by name, shared by the steps of all flows.
        version: the version of this format.
        items: what fires.
        description: what it is for.
        timezone: an IANA name, for all items that have none of their own.
        calendars: dates by name.
        state: the database of the firings; a run is in the one that its flow names, else in the usual one.
        max_parallel_runs: how many runs execute at once.
        shutdown_grace_seconds: how long runs may continue when the server is asked to stop.
        on_crash: what happens to a run whose server died, unless its flow says it.
        on_stop: what happens to runs that do not end in time when the server stops; default: cancel.
        notify: who gets a message when a run of an item fails, cannot start, is late, or succeeds again.
        resources: what the steps of on_late and the messages connect to, by name.
    """

    called = "the scheduler file"

    version: Literal[1]
    items: Annotated[list[ItemSpec], Meta(min_length=1)]
    id: Identifier | None = None
    description: str = ""
    timezone: str | None = None
    calendars: dict[str, CalendarSpec] = {}
    state: StateSpec = StateSpec()
    max_parallel_runs: PositiveInt | None = None
    shutdown_grace_seconds: Seconds | None = None
    on_crash: OnCrash | None = None
    on_stop: OnStop | None = None
    pools: dict[str, PositiveInt] = {}
    notify: list[NotifySpec] = []
    resources: dict[str, ResourceSpec] = {}


def is_schedule(file: Any) -> bool:
    """Whether the plain data of a file is meant as a scheduler file: it has items and no flow."""
    return isinstance(file, dict) and "items" in file and "flow" not in file and "jobs" not in file
