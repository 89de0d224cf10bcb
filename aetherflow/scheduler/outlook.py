"""Read what a server finds in the database about the items of a schedule that comes into force."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.boot_source import boot_id
from aetherflow.store.firings import Firing, has_event, open_firings
from aetherflow.store.pauses import Pause, read_pauses
from aetherflow.store.schedule_items import known_items
from aetherflow.store.served_files import is_alive


class Outlook(msgspec.Struct, frozen=True):
    """What is stored about the items of a schedule.

    Attributes:
        decided: up to when the ticks of each item are decided.
        left: the open firings that no live server has, in the order of their scheduled times.
        booted: the `@reboot` items that have fired since the machine booted.
    """

    pauses: list[Pause]
    decided: dict[str, datetime]
    left: list[Firing]
    booted: frozenset[str]


def read_outlook(raw: sqlite3.Connection, schedule: Schedule, now: datetime) -> Outlook:
    """Return what is stored about the items of a schedule."""
    opened = open_firings(raw, schedule.id)
    live = {server for server in {one.server for one in opened} if server and is_alive(raw, server, now)}
    at_boot = [item.id for item in schedule.enabled if item.table.trigger.at_boot]
    boot = boot_id() if at_boot else ""
    return Outlook(
        pauses=read_pauses(raw, schedule.id),
        decided={item: decided for item, (_, decided) in known_items(raw, schedule.id).items()},
        left=[one for one in opened if one.server not in live],
        booted=frozenset(one for one in at_boot if not boot or has_event(raw, schedule.id, one, boot)),
    )
