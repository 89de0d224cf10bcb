"""Check the calendars of a scheduler file: their dates, holidays and windows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from aetherflow.errors import AetherFlowError
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.diagnostics import Path as Place
from aetherflow.schedule.calendar import Calendar, make_calendar
from aetherflow.schedule.holidays import Holidays, read_holidays
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.window import Windows, parse_window
from aetherflow.spec.document import MAX_BYTES
from aetherflow.spec.load import ScheduleDocument
from aetherflow.spec.read_file import read_file
from aetherflow.spec.schedule import CalendarSpec
from aetherflow.spec.suggest import quoted
from aetherflow.written_path import folder_of


def check_calendars(loaded: ScheduleDocument, sink: DiagnosticSink) -> dict[str, Calendar | None]:
    """Return the calendars by name; None for one with an error, which is reported."""
    read: dict[str, Calendar | None] = {}
    for name, spec in loaded.spec.calendars.items():
        base: Place = ("calendars", name)
        include = _dates(spec.include, (*base, "include"), sink)
        exclude = _dates(spec.exclude, (*base, "exclude"), sink)
        try:
            read[name] = make_calendar(
                name,
                weekdays=spec.weekdays,
                include=include,
                exclude=exclude,
                working_day=_working_day(spec),
                holidays=_holidays(loaded, spec),
                windows=_windows(name, spec, sink),
            )
        except ScheduleProblem as problem:
            read[name] = None
            sink.add(base, problem.code, problem.message, problem.hint)
    return read


def holiday_files(loaded: ScheduleDocument) -> list[Path]:
    """Return the files of holidays that the calendars name."""
    named = (spec.holidays for spec in loaded.spec.calendars.values())
    return [folder_of(loaded.path) / text for text in named if text]


def _holidays(loaded: ScheduleDocument, spec: CalendarSpec) -> Holidays | None:
    if not spec.holidays:
        return None
    try:
        data = read_file(folder_of(loaded.path) / spec.holidays, MAX_BYTES)
    except (OSError, ValueError, AetherFlowError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ScheduleProblem(
            f"holidays: the file {quoted(spec.holidays)} cannot be read: {why}",
            hint="name an .ics file beside the scheduler file",
            code="AF577",
        ) from error
    return read_holidays(spec.holidays, data)


def _windows(name: str, spec: CalendarSpec, sink: DiagnosticSink) -> Windows:
    """Return the windows of a calendar; report those that cannot be read."""
    read = []
    for number, text in enumerate(spec.not_between):
        try:
            read.append(parse_window(text, name))
        except ScheduleProblem as problem:
            where: Place = ("calendars", name, "not_between", number)
            sink.add(where, problem.code, problem.message, problem.hint)
    return tuple(read)


def _working_day(spec: CalendarSpec) -> int | None:
    match spec.working_day:
        case "first":
            return 1
        case "last":
            return -1
        case number:
            return number


def _dates(texts: list[str], base: Place, sink: DiagnosticSink) -> list[date]:
    read = []
    for number, text in enumerate(texts):
        try:
            read.append(date.fromisoformat(text))
        except ValueError:
            hint = "write a date that exists, as 2026-12-31"
            sink.add((*base, number), "AF201", f"there is no date {quoted(text)}", hint)
    return read
