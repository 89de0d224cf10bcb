"""Find out what servers have in force, which may differ from what the scheduler files on the disk say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from aetherflow.errors import AetherFlowError, InvalidInput
from aetherflow.schedule.item import Schedule
from aetherflow.server.schedule_files import (
    check_schedule_file,
    check_schedule_text,
    load_again,
    load_schedule,
)
from aetherflow.server.server_settings import ScheduleConflict, server_environment, state_path_of
from aetherflow.server.server_status import ServerStatus, server_status
from aetherflow.spec.document import MAX_BYTES
from aetherflow.spec.read_file import read_file
from aetherflow.store.filesystem import is_missing
from aetherflow.store.old_database import beside_old
from aetherflow.store.served_files import source_in_force
from aetherflow.working_directory import absolute


class Served(msgspec.Struct, frozen=True):
    """A scheduler file that servers serve.

    Attributes:
        file: its absolute path.
        problem: why what is on the disk is not in force, as its server knows it; may be empty.
        source: the text in force at the live server that loaded it last; empty if there is none.
        item_problems: the items that cannot run, as that server knows it, each with what is wrong.
        servers: the oldest first.
    """

    file: str
    problem: str = ""
    source: bytes = b""
    item_problems: dict[str, str] = {}
    servers: list[ServerStatus] = []

    @property
    def live(self) -> list[ServerStatus]:
        """The servers that live."""
        return [one for one in self.servers if one.validity == "live"]


class AskedFile(msgspec.Struct, frozen=True):
    """A scheduler file that a person named.

    Attributes:
        schedule: what the file says, with its items without an error; None if it cannot be read at all.
        error: what is wrong with it.
    """

    file: Path
    schedule: Schedule | None
    error: AetherFlowError | None = None

    @property
    def schedules(self) -> list[Schedule]:
        """The schedule, for the settings of the file; those of a wrong file as far as they can be read."""
        return [] if self.schedule is None else [self.schedule]


class InForce(msgspec.Struct, frozen=True):
    """What counts for the items of a scheduler file.

    Attributes:
        schedule: what is in force at a server, else what is on the disk; None if neither can be read.
        problem: what is wrong with the file on the disk.
    """

    schedule: Schedule | None
    problem: AetherFlowError | None = None

    @property
    def problem_text(self) -> str:
        """What is wrong with the file, in one line; empty if nothing is."""
        return "" if self.problem is None else first_problem(self.problem)


def first_problem(error: AetherFlowError) -> str:
    """Return the first of the problems that an error names, in one line: where it is, and what to do."""
    if isinstance(error, InvalidInput) and error.diagnostics:
        first = next((one for one in error.diagnostics if one.severity == "error"), error.diagnostics[0])
        where = f"{first.code}: {first.place}: "
        message, hint = f"{where}{first.message}", first.hint
    else:
        message, hint = error.message, error.hint or ""
    text = message.splitlines()[0]
    return f"{text} ({hint.splitlines()[0]})" if hint else text


def ask_file(file: Path) -> AskedFile:
    """Read a file that a person named; one that is wrong matters only if no server has it in force."""
    try:
        return AskedFile(file, load_schedule(file))
    except AetherFlowError as error:
        try:
            return AskedFile(file, check_schedule_file(file).schedule, error)
        except AetherFlowError:
            return AskedFile(file, None, error)


def state_path_asked(asked: AskedFile | None, state: Path | None, env: Mapping[str, str]) -> Path:
    """Return the path of the state database; a wrong file names it as far as it can be read.

    Raises:
        AetherFlowError: the path cannot be found out, or the file is wrong and there is no database in which
            a server could have stored what is in force.
    """
    if asked is None or asked.error is None:
        return state_path_of(asked.schedules if asked is not None else [], state, env)
    if state is None and asked.schedule is None:
        path = beside_old(server_environment([asked.file], env).settings.state_database)
    else:
        path = state_path_of(asked.schedules, state, env)
    if is_missing(path):
        raise asked.error
    return path


def served_files(raw: sqlite3.Connection, now: datetime) -> dict[str, Served]:
    """Return what servers serve, by the id of the file."""
    found: dict[str, Served] = {}
    rows = raw.execute(
        "SELECT scheduler, server, file, problem, item_problems FROM schedulers ORDER BY scheduler, loaded_at"
    )
    for scheduler, server, file, problem, items in rows.fetchall():
        status = server_status(raw, server, now)
        if status is None:
            continue
        known = found.setdefault(scheduler, Served(file))
        is_live = status.validity == "live"
        found[scheduler] = Served(
            known.file,
            problem or known.problem,
            (source_in_force(raw, scheduler, server) if is_live else b"") or known.source,
            json.loads(items) if is_live else known.item_problems,
            [*known.servers, status],
        )
    return found


def in_force(served: Mapping[str, Served], asked: AskedFile | None) -> dict[str, InForce]:
    """Return what is in force, by the id of the file: of the named file, else of all that are served.

    Raises:
        AetherFlowError: the named file is wrong, and no server has it in force.
    """
    if asked is None:
        return {scheduler: _in_force(scheduler, one) for scheduler, one in served.items()}
    name = "" if asked.schedule is None else asked.schedule.id
    path = str(absolute(asked.file))
    here = [scheduler for scheduler, one in served.items() if one.file == path]
    if found := here or [scheduler for scheduler in served if scheduler == name]:
        return {scheduler: _in_force(scheduler, served[scheduler]) for scheduler in found}
    if asked.error is not None:
        raise asked.error
    return {name: InForce(asked.schedule)}


def _in_force(scheduler: str, served: Served) -> InForce:
    file = Path(served.file)
    loaded = _loaded(file, served.source) if served.source else None
    if loaded is not None and not served.problem and _is_on_disk(file, served.source):
        return InForce(loaded)
    try:
        on_disk = load_again(file)
    except AetherFlowError as error:
        return InForce(loaded, error)
    if on_disk.id != scheduler:
        return InForce(loaded, _renamed(on_disk))
    return InForce(loaded or on_disk)


def _loaded(file: Path, source: bytes) -> Schedule | None:
    """Return a schedule from its text; None if this version of AetherFlow cannot read what another stored.

    An error in it is ignored, as it had none when the server loaded it: a file of holidays became wrong.
    """
    try:
        return check_schedule_text(file, source).schedule
    except AetherFlowError:
        return None


def _is_on_disk(file: Path, source: bytes) -> bool:
    try:
        return file.is_file() and read_file(file, MAX_BYTES) == source
    except (AetherFlowError, OSError, ValueError):
        return False  # it is read once more, which gives the error


def _renamed(schedule: Schedule) -> ScheduleConflict:
    """Return what is wrong with a file whose items would be known under another id than those in force."""
    return ScheduleConflict(
        f"{schedule.file}: its id became {schedule.id!r}",
        hint="start its server again, or give it back its id",
    )
