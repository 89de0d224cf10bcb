"""Check a scheduler file: build its schedule, and report every error in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from aetherflow.check.check_calendars import check_calendars
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.diagnostics import Path as Place
from aetherflow.plan.plan import find_cycle
from aetherflow.schedule.anchored_interval import anchored, parse_every
from aetherflow.schedule.calendar import Calendar
from aetherflow.schedule.catch_up import CatchUpPolicy
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.deadline import CODE as DEADLINE_CODE
from aetherflow.schedule.deadline import Deadline, parse_end_by, parse_longer_than
from aetherflow.schedule.followed import followed, usual_tick
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.item import Item, Schedule, fingerprint
from aetherflow.schedule.item_params import wrong_params
from aetherflow.schedule.reboot import REBOOT, Reboot
from aetherflow.schedule.rrule_text import parse_rrule
from aetherflow.schedule.shifted import Shifted
from aetherflow.schedule.timetable import Timetable
from aetherflow.schedule.trigger import Trigger, parse_interval, parse_moment, rule_for
from aetherflow.schedule.window import Windows, parse_window
from aetherflow.schedule.zone import Zone, load_zone
from aetherflow.spec.flow import NotifySpec
from aetherflow.spec.load import ScheduleDocument
from aetherflow.spec.messages import wrong_keys
from aetherflow.spec.schedule import DeadlineSpec, IntervalSpec, ItemSpec
from aetherflow.spec.suggest import did_you_mean, quoted
from aetherflow.working_directory import absolute, working_directory_name
from aetherflow.written_path import UnclearPath, folder_of, written_path

T = TypeVar("T")

CYCLES_REPORTED = 100
TRIGGERS = ("cron", "interval_seconds", "interval", "rrule", "at")


def check_schedule(
    loaded: ScheduleDocument, sink: DiagnosticSink, missing: DiagnosticSink | None = None
) -> Schedule:
    """Return the schedule of a scheduler file; items with errors are left out and reported to `sink`.

    Items whose flow or manifest does not exist are reported to `missing`, default `sink`, but not left out.
    """
    name = loaded.spec.id or str(absolute(loaded.path))
    calendars = check_calendars(loaded, sink)
    items: dict[str, Item] = {}
    files = cache(partial(_file, folder_of(loaded.path)))  # ten thousand items may have one flow
    _check_notify(loaded, sink)
    for number, spec in enumerate(loaded.spec.items):
        if spec.notify is None and loaded.spec.notify:
            spec = replace(spec, notify=loaded.spec.notify)  # noqa: PLW2901 - the item with the messages of the file
        item = _Reader(loaded, name, ("items", number), sink, missing or sink, files).item(spec, calendars)
        if item is not None:
            items.setdefault(item.id, item)
    _check_after(loaded, sink)
    return Schedule(
        name, loaded.path, loaded.spec, {one.id: _following(one, items) for one in items.values()}
    )


def _check_notify(loaded: ScheduleDocument, sink: DiagnosticSink) -> None:
    """Report what is wrong in the entries of `notify`, of the file and of its items."""
    lists: list[tuple[Place, list[NotifySpec]]] = [(("notify",), loaded.spec.notify)]
    lists += [(("items", n, "notify"), item.notify or []) for n, item in enumerate(loaded.spec.items)]
    for base, entries in lists:
        for number, entry in enumerate(entries):
            if sink.is_guess((*base, number, "to")):
                continue
            for where, code, message, hint in wrong_keys(entry, loaded.spec.resources, is_in_flow=False):
                sink.add((*base, number, *where), code, message, hint)


def _following(item: Item, items: Mapping[str, Item]) -> Item:
    """Return an item with the timetables of the items that it follows."""
    if not item.spec.after:
        return item
    found = (items[one.item] for one in item.after if one.item in items)
    return replace(item, follows={one.id: one.table for one in found if one.spec.enabled})


class _Reader(msgspec.Struct, eq=False):
    """Reads one item and reports every error in it."""

    loaded: ScheduleDocument
    scheduler: str
    base: Place
    sink: DiagnosticSink
    missing: DiagnosticSink
    files: Callable[[str], Path | None]
    is_wrong: bool = False
    looked_for: tuple[Path, ...] = ()

    def item(self, spec: ItemSpec, calendars: Mapping[str, Calendar | None]) -> Item | None:
        """Return the item, or None if it has an error."""
        zone = self.zone(spec)
        trigger = self.trigger(spec, zone)
        calendar = self.calendar(spec, calendars)
        deadline = None if spec.deadline is None else self.deadline(spec.deadline)
        windows = self.windows(spec) + (calendar.windows if calendar else ())
        flow, manifest = self.flow(spec)
        for problem in wrong_params(spec.params):
            self.is_wrong = True
            self.sink.add_problem((*self.base, "params"), problem)
        if self.is_wrong or zone is None or trigger is None:
            return None
        rule = rule_for(trigger, spec.dst_gap, spec.dst_overlap)
        calendar_spec = self.loaded.spec.calendars.get(spec.calendar or "")
        holidays = calendar.holidays.digest if calendar and calendar.holidays else ""
        local = trigger.local
        if calendar and local and calendar_spec and calendar_spec.shift != "skip":
            trigger, calendar = Shifted(local, calendar, calendar_spec.shift), None
        return Item(
            scheduler=self.scheduler,
            spec=spec,
            table=Timetable(
                f"{self.scheduler}/{spec.id}", trigger, zone, rule, calendar, spec.jitter_seconds
            ),
            policy=CatchUpPolicy(
                int(spec.misfire_grace_time),
                spec.coalesce,
                spec.catch_up,
                None if spec.catch_up_window is None else int(spec.catch_up_window),
                spec.catch_up_maximum,
                until_day_ends=not any(getattr(spec, name) is not None for name in TRIGGERS),
            ),
            zone=zone.name,
            flow_file=flow,
            manifest=manifest,
            definition=fingerprint(spec, zone.name, calendar_spec, holidays),
            folder=absolute(self.loaded.path).parent,
            deadline=deadline,
            missing=self.looked_for,
            windows=_shared(windows),
            on_stop=spec.on_stop or self.loaded.spec.on_stop or "cancel",
        )

    def report(self, key: str, code: str, message: str, hint: str) -> None:
        """Report an error about a key of the item."""
        self.is_wrong = True
        where = (*self.base, key) if key else self.base
        self.sink.add(where, code, message, hint)

    def zone(self, spec: ItemSpec) -> Zone | None:
        """Return the zone of the item, else of the file, else UTC."""
        name = spec.timezone or self.loaded.spec.timezone or "UTC"
        where = (*self.base, "timezone") if spec.timezone else ("timezone",)
        return self.parsed(where, lambda: load_zone(name))

    def trigger(self, spec: ItemSpec, zone: Zone | None) -> Trigger | None:
        """Return what makes the item tick; one that only follows others ticks at the start of each day."""
        given = [name for name in TRIGGERS if getattr(spec, name) is not None]
        if len(given) > 1:
            others = " and ".join(given)
            self.report(given[1], "AF200", f"item {spec.id!r} has {others}", "keep one of them")
            return None
        if not given:
            if spec.after:
                return parse_cron(usual_tick(followed(spec.after)))
            hint = f"add {', '.join(TRIGGERS[:-1])} or at; or after, to follow other items once a day"
            self.report("", "AF200", f"item {spec.id!r} does not say when it fires", hint)
            return None
        where = (*self.base, given[0])
        match given[0]:
            case "cron":
                return self.parsed(where, lambda: self.cron(spec))
            case "interval":
                return self.interval(where, spec.interval, zone)
            case "rrule":
                return None if zone is None else self.parsed(where, lambda: _rrule(spec.rrule or "", zone))
            case "at":
                return self.parsed(where, lambda: parse_moment(spec.at or ""))
            case _:
                return self.parsed(where, lambda: parse_interval(spec.interval_seconds or 0))

    def cron(self, spec: ItemSpec) -> Trigger:
        """Return the cron expression of the item; one without `H` is parsed once for all items."""
        text = spec.cron or ""
        if text.strip().lower() == REBOOT:
            return Reboot()
        return parse_cron(text, f"{self.scheduler}/{spec.id}") if "h" in text.lower() else _cron(text)

    def interval(self, where: Place, spec: IntervalSpec | None, zone: Zone | None) -> Trigger | None:
        """Return the interval from an anchor."""
        if spec is None:
            return None
        every = self.parsed((*where, "every"), lambda: parse_every(spec.every))
        if every is None or zone is None:
            return None
        return self.parsed((*where, "anchor"), lambda: anchored(every, spec.anchor, zone))

    def deadline(self, spec: DeadlineSpec) -> Deadline | None:
        """Return the deadline of the item; one that says nothing is an error."""
        where = (*self.base, "deadline")
        end_by = longer_than = None
        if (text := spec.end_by) is not None:
            end_by = self.parsed((*where, "end_by"), lambda: _end_by(text))
        if (longer := spec.longer_than) is not None:
            longer_than = self.parsed((*where, "longer_than"), lambda: _longer_than(longer))
        if spec == DeadlineSpec():
            hint = "add start_within, end_by or longer_than"
            self.report("deadline", DEADLINE_CODE, "the deadline does not say when something is late", hint)
        return Deadline(spec.start_within, end_by, longer_than)

    def calendar(self, spec: ItemSpec, calendars: Mapping[str, Calendar | None]) -> Calendar | None:
        """Return the calendar that the item names."""
        if spec.calendar is None:
            return None
        if spec.calendar not in calendars:
            hint = did_you_mean(spec.calendar, calendars) or f"there is {', '.join(calendars) or 'none'}"
            self.report("calendar", "AF201", f"there is no calendar {quoted(spec.calendar)}", hint)
            return None
        return calendars[spec.calendar]

    def windows(self, spec: ItemSpec) -> Windows:
        """Return the item's own windows."""
        where: Place = (*self.base, "not_between")
        read = [self.parsed((*where, n), partial(_window, text)) for n, text in enumerate(spec.not_between)]
        return tuple(one for one in read if one is not None)

    def flow(self, spec: ItemSpec) -> tuple[Path | None, Path | None]:
        """Return the flow file and the manifest of the item."""
        if spec.flow_yaml is None and spec.bundle_manifest is None:
            hint = "add flow_yaml: FILE, or bundle_manifest: FILE for the bundle's entry flow"
            self.report("", "AF202", f"item {spec.id!r} does not say what to run", hint)
        manifest = self.file("bundle_manifest", spec.bundle_manifest)
        if spec.bundle_manifest is not None:
            return (None if spec.flow_yaml is None else Path(spec.flow_yaml)), manifest
        return self.file("flow_yaml", spec.flow_yaml), None

    def file(self, key: str, text: str | None) -> Path | None:
        """Return a file beside the scheduler file, else below the working directory; where it should be."""
        if text is None:
            return None
        folder = folder_of(self.loaded.path)
        try:
            path = self.files(text)
        except UnclearPath as error:
            self.report(key, error.code, error.message, error.hint)
            return None
        if path is not None:
            return path
        self.looked_for = tuple(_places(folder, text))
        hint = f"looked for {' and '.join(map(str, self.looked_for))}"
        item = self.loaded.spec.items[int(self.base[1])]
        message = f"item {item.id!r}: there is no file {quoted(text)}"
        self.missing.add((*self.base, key), "AF203", message, hint)
        return self.looked_for[0]

    def parsed(self, where: Place, parse: Callable[[], T]) -> T | None:
        """Return what `parse` returns; report an error at its place in the text."""
        try:
            return parse()
        except ScheduleProblem as problem:
            self.is_wrong = True
            place = self.sink.text_place(where, problem.offset)
            if not self.sink.is_guess(where) and not any(
                d.code == problem.code and (d.line, d.column) == (place.line, place.column)
                for d in self.sink.diagnostics
            ):
                self.sink.add(place, problem.code, problem.message, problem.hint)
            return None


_cron = lru_cache(maxsize=4096)(parse_cron)
_end_by = lru_cache(maxsize=4096)(parse_end_by)
_longer_than = lru_cache(maxsize=4096)(parse_longer_than)
_rrule = lru_cache(maxsize=4096)(parse_rrule)
_window = lru_cache(maxsize=4096)(parse_window)


@lru_cache(maxsize=4096)
def _shared(windows: Windows) -> Windows:
    """Return the same tuple for equal windows: what is known of one item's holds for all that have it."""
    return windows


def _file(folder: Path, text: str) -> Path | None:
    """Return a file below a folder, else below the working directory."""
    # os.path.isfile is also false for impossible names: too long, or with a NUL
    return next((path for path in _places(folder, text) if os.path.isfile(path)), None)  # noqa: PTH113


def _places(folder: Path, text: str) -> list[Path]:
    """Return where a file may be: below a folder, and below the working directory if that exists."""
    here = working_directory_name()
    return list(dict.fromkeys(written_path(text, one) for one in (folder, *([Path(here)] if here else []))))


def _check_after(loaded: ScheduleDocument, sink: DiagnosticSink) -> None:
    """Report items that follow an unknown item, or themselves through others."""
    specs = {spec.id: spec for spec in loaded.spec.items}
    places = {spec.id: ("items", number) for number, spec in reversed(list(enumerate(loaded.spec.items)))}
    for number, spec in enumerate(loaded.spec.items):
        for place, name in enumerate(one.item for one in followed(spec.after)):
            if name not in specs:
                hint = did_you_mean(name, specs) or f"the items are {', '.join(specs)}"
                where: Place = ("items", number, "after", place)
                where += () if isinstance(spec.after[place], str) else ("item",)
                sink.add(
                    where, "AF204", f"item {spec.id!r} follows {quoted(name)}, which does not exist", hint
                )
    edges = {
        name: [one.item for one in followed(spec.after) if one.item in specs] for name, spec in specs.items()
    }
    for _ in range(CYCLES_REPORTED):
        if (cycle := find_cycle(edges)) is None:
            return
        message = f"items wait for each other: {' -> '.join(cycle)}"
        sink.add((*places[cycle[0]], "after"), "AF205", message, "remove one of them from 'after'")
        edges.update({name: [] for name in cycle})
