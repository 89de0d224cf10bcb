"""Find items by name for commands about the past: in a file, in served files, or in the database."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from aetherflow.errors import UsageError
from aetherflow.schedule.item import Item, Schedule
from aetherflow.server.in_force import AskedFile, in_force, served_files
from aetherflow.spec.suggest import did_you_mean
from aetherflow.store.firing_history import items_with_firings, schedulers_with_firings


class KnownItem(msgspec.Struct, frozen=True):
    """An item that has a past; `item` is None if no file that is known has it now."""

    scheduler: str
    name: str
    item: Item | None
    schedule: Schedule | None

    @property
    def zone(self) -> str:
        """The IANA name of its zone; UTC if it is not known."""
        return self.item.zone if self.item else "UTC"


def known_items_of(raw: sqlite3.Connection, asked: AskedFile | None, now: datetime) -> list[KnownItem]:
    """Return the items of a scheduler file; without one, those that servers serve and that have firings.

    Raises:
        AetherFlowError: the file is wrong, and no server has it in force.
    """
    found = {name: one.schedule for name, one in in_force(served_files(raw, now), asked).items()}
    if asked is None:
        found = {**dict.fromkeys(schedulers_with_firings(raw)), **found}
    items = []
    for scheduler, schedule in found.items():
        names = dict.fromkeys([*(schedule.items if schedule else []), *items_with_firings(raw, scheduler)])
        items += [
            KnownItem(scheduler, name, schedule.items.get(name) if schedule else None, schedule)
            for name in names
        ]
    return items


def named_item(known: list[KnownItem], name: str) -> KnownItem:
    """Return the item of a name, ITEM or FILE_ID/ITEM.

    Raises:
        UsageError: there is none, or several files have one.
    """
    scheduler, _, short = name.rpartition("/")
    having = [one for one in known if one.name == short and scheduler in ("", one.scheduler)]
    if len(having) == 1:
        return having[0]
    if having:
        names = ", ".join(f"{one.scheduler}/{short}" for one in having)
        raise UsageError(f"several scheduler files have an item {short!r}", hint=f"name one of {names}")
    every = [one.name for one in known]
    hint = did_you_mean(short, every) or (
        f"the items are {', '.join(every[:20])}"
        if every
        else "name the scheduler file: --file SCHEDULER.yaml"
    )
    raise UsageError(f"there is no item {name!r}", hint=hint)
