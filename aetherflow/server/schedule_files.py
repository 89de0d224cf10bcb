"""Load scheduler files and check them, but not the flows that their items name (see `item_flows`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from aetherflow.check.check_calendars import holiday_files
from aetherflow.check.check_schedule import check_schedule
from aetherflow.errors import Diagnostic, InvalidInput, UsageError
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.redaction import Redactor
from aetherflow.schedule.item import Schedule, Signature
from aetherflow.server.file_watch import signature
from aetherflow.server.server_settings import ScheduleConflict
from aetherflow.spec.load import ScheduleDocument, read_schedule, read_schedule_text


class CheckedSchedule(msgspec.Struct, frozen=True):
    """A scheduler file and its diagnostics; a server may use it only if there are no errors."""

    schedule: Schedule
    sink: DiagnosticSink

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The diagnostics about the file in its order, then those about the flows that it names."""
        file = self.sink.document.file
        ordered = self.sink.in_order(Redactor().text).values()
        return sorted(ordered, key=lambda d: (d.file != file, d.file))


def check_schedule_file(path: Path) -> CheckedSchedule:
    """Read and check a scheduler file, without the flows that it names.

    Raises:
        InvalidInput: the file cannot be read as a scheduler file at all.
    """
    before = signature(path)
    return _checked(*read_schedule(path), before)


def _checked(
    loaded: ScheduleDocument | None,
    found: list[Diagnostic],
    before: Signature = None,
    *,
    may_lack_flows: bool = False,
) -> CheckedSchedule:
    if loaded is None:
        raise InvalidInput(found)
    sink = DiagnosticSink(loaded.document, found, loaded.guesses)
    beside = {file: signature(file) for file in holiday_files(loaded)}
    missing = DiagnosticSink(loaded.document, (), loaded.guesses) if may_lack_flows else sink
    schedule = check_schedule(loaded, sink, missing)
    if sink.has_errors and may_lack_flows:  # it is refused, and then all that is wrong is reported
        sink.diagnostics += missing.diagnostics
    beside |= {place: None for item in schedule.items.values() for place in item.missing}
    source = loaded.document.source
    return CheckedSchedule(
        msgspec.structs.replace(schedule, signature=before, beside=beside, source=source), sink
    )


def _check_to_load(path: Path) -> CheckedSchedule:
    before = signature(path)
    return _checked(*read_schedule(path), before, may_lack_flows=True)


def load_schedule(path: Path) -> Schedule:
    """Load a scheduler file that must not have errors, but whose flows may not exist.

    Raises:
        InvalidInput: the file has errors; all diagnostics.
    """
    checked = _check_to_load(path)
    if checked.sink.has_errors:
        raise InvalidInput(checked.diagnostics)
    return checked.schedule


def check_schedule_text(path: Path, source: bytes) -> CheckedSchedule:
    """Check the text of a scheduler file, as `check_schedule_file` checks the file.

    Raises:
        InvalidInput: the text cannot be read as a scheduler file at all.
    """
    return _checked(*read_schedule_text(source, path))


def load_again(path: Path) -> Schedule:
    """Load a file that was loaded before, unless it became a pipe or device: reading that might never end.

    Raises:
        UsageError: it is no longer an ordinary file.
        InvalidInput: the file has errors; all diagnostics.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UsageError(f"{path} is no longer an ordinary file, and is not read", code="AF101")
    return load_schedule(path)


def load_schedules(paths: Sequence[Path]) -> list[Schedule]:
    """Load several scheduler files, whose ids must differ, and whose flows may not exist.

    Raises:
        InvalidInput: a file has errors; the diagnostics of all files.
        ScheduleConflict: two of them have the same id, or are the same file.
    """
    checked = [_check_to_load(path) for path in paths]
    wrong = [one for one in checked if one.sink.has_errors]
    if wrong:
        raise InvalidInput([diagnostic for one in wrong for diagnostic in one.diagnostics])
    schedules: dict[str, Schedule] = {}
    for one in checked:
        schedule = one.schedule
        if schedule.id in schedules:
            raise ScheduleConflict(
                f"{schedules[schedule.id].file} and {schedule.file} have the same id {schedule.id!r}",
                hint="name each file once, and give each an id of its own",
            )
        schedules[schedule.id] = schedule
    return list(schedules.values())
