"""Create the firings of `@reboot` items: when a server starts, once per boot of its machine.

The id of the boot is the firing's event key, which is unique within an item: neither a second start nor
another server of the machine fires the item again. In a container it is the boot of the host.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio

from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.catch_up import NotRun
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.zone import seconds
from aetherflow.scheduler.firing_decision import DecidedFirings, FiringDecider, TicksNotRun
from aetherflow.scheduler.overlap import judge_new
from aetherflow.scheduler.paused_ticks import is_held, reason_of
from aetherflow.scheduler.ports import FiringSink
from aetherflow.store.firings import NewFiring, has_event, insert_firing
from aetherflow.store.pauses import Pause, pause_in_force, read_pauses

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

HELD_SECONDS = 5.0
"""How often the source looks whether the pause is over of an item that catches up after it."""


def boot_id() -> str:
    """Return the id of the current boot of this machine; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class BootSource:
    """Fires the `@reboot` items of the schedules in force when the server starts, and nothing after that."""

    def __init__(
        self,
        decider: FiringDecider,
        schedules: Mapping[str, Schedule],
        read_boot: Callable[[], str] = boot_id,
    ) -> None:
        self._decider = decider
        self._schedules = schedules
        self._read_boot = read_boot

    async def fire_next(self, sink: FiringSink) -> None:
        """Fire the items once, then wait for ever; return after a while if a pause holds some.

        Raises:
            StateError: the database cannot be used; the items are fired later.
            StandsBy: the clock of the server is off; the items are fired later.
        """
        items = [
            item for one in self._schedules.values() for item in one.enabled if item.table.trigger.at_boot
        ]
        boot = self._read_boot() if items else ""
        if boot:
            decided = await sink.fire(partial(self._decide, items=items, boot=boot))
            if any(one.is_held for one in decided):
                await anyio.sleep(HELD_SECONDS)
                return
        await anyio.sleep_forever()

    def _decide(self, raw: sqlite3.Connection, items: Sequence[Item], boot: str) -> list[DecidedFirings]:
        new = [item for item in items if not has_event(raw, item.scheduler, item.id, boot)]
        pauses = {name: read_pauses(raw, name) for name in {item.scheduler for item in new}}
        return [self._item(raw, item, boot, pauses[item.scheduler]) for item in new]

    def _item(
        self, raw: sqlite3.Connection, item: Item, boot: str, pauses: Sequence[Pause]
    ) -> DecidedFirings:
        now, calendar = self._decider.now(), item.table.calendar
        if is_held(item, pauses, now):
            return DecidedFirings(item, now, [], is_held=True)
        paused = pause_in_force(pauses, item.id, now)
        stopped = why_closed(calendar, local_date(item.table.zone, seconds(now))) if calendar else ""
        stopped = stopped or (reason_of(paused) if paused else "")
        verdict = None if stopped else judge_new(raw, item, now, now, cause="event")
        new = NewFiring(
            item.scheduler,
            item.id,
            now,
            "event",
            verdict.outcome if verdict else "SKIPPED",
            run_id=self._decider.new_id() if verdict and verdict.counts else None,
            reason=verdict.reason if verdict else stopped,
            priority=item.spec.priority,
            server=self._decider.server,
            event_key=boot,
        )
        firing = insert_firing(raw, new, now)
        firings = [firing] if firing else []
        not_run = [TicksNotRun(NotRun(now, now, 1, "paused", stopped), firings)] if paused and firings else []
        return DecidedFirings(item, now, firings, not_run=not_run)
