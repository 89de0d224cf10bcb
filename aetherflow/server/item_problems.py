"""Watch which items of the served schedules cannot run: their flow, manifest or params are missing or wrong.

The server serves all items. One that cannot run is reported when its schedule comes into force, or when its
flow becomes wrong later; `scheduler status` shows it. It is checked again when one of the files concerned
changes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput, StateError
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.schedule.item import Item, Schedule, Signature
from aetherflow.server.file_watch import POLL_SECONDS, signatures
from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import CheckedSchedule, check_schedule_text
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.server.open_server import Server

_threads = WorkerThreads("flows of schedule items", 1)

LOOK_AT_ALL_SECONDS = 5
"""How often the flows of all items are looked at; those of items that cannot run every second."""

MOST_NOTICES = 100
"""How many items of a file are reported one by one; `aetherflow validate FILE` shows all."""


class _Checked(msgspec.Struct, frozen=True):
    """What was found about the items of a schedule.

    Attributes:
        problems: the items that cannot run, each with its first error.
        files: the files that may make them right, with their signatures before they were read.
        named: the flows and manifests of all items, likewise.
        on_late: the first error in the `on_late` steps, without which the items run.
    """

    schedule: Schedule
    problems: dict[str, Diagnostic] = {}
    files: dict[Path, Signature] = {}
    named: dict[Path, Signature] = {}
    on_late: Diagnostic | None = None


async def watch_item_problems(server: Server) -> None:
    """Check the items of each schedule that comes into force, and again when their files change."""
    known: dict[str, _Checked] = {}
    for number in count():
        looks_at_all = number % LOOK_AT_ALL_SECONDS == 0
        for schedule in list(server.scheduler.schedules.values()):
            old = known.get(schedule.id, _Checked(schedule))
            is_new = schedule.id not in known or old.schedule is not schedule
            only = None
            if not is_new:
                watched = old.named | old.files if looks_at_all else old.files
                if not (changed := await _changed(watched)):
                    continue
                only = {name for name, item in schedule.items.items() if changed & _files_of(item)}
                only |= set(old.problems)
            new = await _threads.run(_check, schedule, old, only, dict(os.environ), abandon_on_cancel=True)
            if server.scheduler.schedules.get(schedule.id) is schedule:
                known[schedule.id] = new
                await _report(server, old, new)
        await server.clock.sleep(POLL_SECONDS)


def refuse_wrong_items(schedule: Schedule) -> None:
    """Refuse a schedule with items that cannot run, for `serve --strict`. Blocking.

    Raises:
        InvalidInput: there are such items; all diagnostics.
    """
    checked = check_schedule_text(schedule.file, schedule.source)
    check_item_flows(checked, dict(os.environ))
    if checked.sink.has_errors:
        raise InvalidInput(checked.diagnostics)


def refuse_missing_flows(schedule: Schedule) -> None:
    """Refuse a schedule with items whose flow does not exist. Blocking.

    Raises:
        InvalidInput: there are such items; all diagnostics.
    """
    checked = check_schedule_text(schedule.file, schedule.source)
    if checked.sink.has_errors:
        raise InvalidInput(checked.diagnostics)


async def _changed(known: Mapping[Path, Signature]) -> set[Path]:
    if not known:
        return set()
    now = await _threads.run(signatures, list(known), abandon_on_cancel=True)
    return {file for (file, old), new in zip(known.items(), now, strict=True) if old != new}


def _check(
    schedule: Schedule, old: _Checked, only: Collection[str] | None, env: Mapping[str, str]
) -> _Checked:
    """Check the flows of the items, or of some of them, of the version of a file that is in force."""
    chosen = [item for name, item in schedule.items.items() if only is None or name in only]
    before = _signed({file for item in chosen for file in _files_of(item)})
    named = before if only is None else old.named | before
    try:
        checked = check_schedule_text(schedule.file, schedule.source)
        items = {one.id: checked.schedule.items.get(one.id, one) for one in chosen}
        checked = CheckedSchedule(msgspec.structs.replace(checked.schedule, items=items), checked.sink)
        found = check_item_flows(checked, env)
    except AetherFlowError:
        return msgspec.structs.replace(old, schedule=schedule, named=named)  # its reload reports it
    problems = found.items
    on_late = found.on_late if only is None else old.on_late
    own = checked.sink.document.file
    wrong = {Path(d.file) for d in checked.sink.diagnostics if d.severity == "error" and d.file != own}
    wrong |= {file for name in problems for file in _files_of(schedule.items[name])}
    files = _signed(wrong) | {file: before[file] for file in wrong & set(before)}
    return _Checked(schedule, problems, files, named, on_late)


def _files_of(item: Item) -> set[Path]:
    return {file for file in (item.flow_file, item.manifest) if file is not None}


def _signed(files: set[Path]) -> dict[Path, Signature]:
    return dict(zip(files, signatures(list(files)), strict=True))


async def _report(server: Server, old: _Checked, new: _Checked) -> None:
    """Report the items that cannot run now, and those that can again, and store the first."""
    schedule, now = new.schedule, server.clock.now()
    wrong = {name: found for name, found in new.problems.items() if old.problems.get(name) != found}
    right = [name for name in old.problems if name not in new.problems and name in schedule.items]

    def notice(message: str, item: str = "", code: str = "", *, is_wrong: bool = True) -> None:
        server.bus.announce(
            ScheduleNotice(
                at=now,
                scheduler=schedule.id,
                item_id=item,
                message=message,
                level="warning" if is_wrong else "info",
                code=code,
            )
        )

    for name, found in list(wrong.items())[:MOST_NOTICES]:
        notice(_placed(found), name, found.code)
    if len(wrong) > MOST_NOTICES:
        more = len(wrong) - MOST_NOTICES
        notice(f"{more} more items cannot run: aetherflow validate {schedule.file}")
    for name in right[:MOST_NOTICES]:
        notice("it can run now: what was wrong with it is right", name, is_wrong=False)
    if len(right) > MOST_NOTICES:
        notice(f"{len(right) - MOST_NOTICES} more items can run now", is_wrong=False)
    if new.on_late is not None and new.on_late != old.on_late:
        notice(f"{_placed(new.on_late)}; the steps of on_late and notify cannot run", code=new.on_late.code)
    if old.on_late is not None and new.on_late is None:
        notice("the steps of on_late and notify can run now", is_wrong=False)
    if wrong or right or old.problems.keys() != new.problems.keys():
        texts = {name: problem_text(found) for name, found in new.problems.items()}
        with suppress(StateError):  # a database that fails is reported elsewhere
            await server.lease.store_item_problems(schedule.id, texts)


def _placed(found: Diagnostic) -> str:
    return f"{found.place}: {problem_text(found)}"


def problem_text(found: Diagnostic) -> str:
    """Return what is wrong with an item, with its hint."""
    return f"{found.message} ({found.hint})" if found.hint else found.message
