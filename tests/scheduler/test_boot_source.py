"""`@reboot` items fire once per boot of the machine, whatever starts again."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow.scheduler import boot_source
from aetherflow.scheduler.boot_source import BootSource, boot_id
from aetherflow.scheduler.firing_decision import FiringDecider
from aetherflow.store.pauses import EVERY_ITEM, Pause, end_pause, put_pause
from aetherflow.store.projection import timestamp
from tests.polling import eventually
from tests.scheduler.scheduler_parts import Server, fire_once, rows, schedule, server

pytestmark = pytest.mark.asyncio

ITEMS = "id: a, cron: '@reboot'\nid: b, cron: '0 0 * * *'"


async def started(one: Server, boot: str) -> None:
    """Let a server start on a machine that has booted so, and look what its source fires."""
    decider = FiringDecider(one.name, one.clock.now, one.clock.new_id)
    source = BootSource(decider, one.scheduler.schedules, lambda: boot)
    if boot:
        await fire_once(source, one.scheduler)
        return
    with anyio.move_on_after(0.1) as scope:
        await source.fire_next(one.scheduler)
    assert scope.cancelled_caught, "without a boot it fires nothing and waits"


async def test_once_per_boot_also_after_a_restart_and_with_two_servers(tmp_path: Path) -> None:
    state, file = tmp_path / "state.sqlite", schedule(tmp_path, ITEMS)
    async with server(state, "a") as first, server(state, "b") as second:
        for one in (first, second):
            await one.scheduler.put(file)
        await started(first, "boot-1")
        (run,) = first.runs.submitted
        await started(second, "boot-1")
        await started(first, "boot-1")
        assert rows(state, "item_id, cause, event_key, run_id") == [("a", "event", "boot-1", run)]
        assert not second.runs.submitted
        await first.end(run)
        first.clock.advance(3600)
        await started(first, "boot-2")
        assert [row[2] for row in rows(state, "item_id, cause, event_key")] == ["boot-1", "boot-2"]
        await started(second, "")
        assert len(rows(state)) == 2


async def test_a_server_follows_the_boots_of_its_machine(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, ITEMS))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.scheduler.run)
            await eventually(lambda: len(one.runs.submitted) == 1)
            one.scheduler.stop()
            tasks.cancel_scope.cancel()
    assert rows(state, "item_id, event_key") == [("a", boot_id())]


async def test_a_closed_date_is_a_row_with_its_reason(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    head = "calendars: {never: {include: ['2001-01-01']}}"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, "id: a, cron: '@reboot', calendar: never", head))
        await started(one, "boot-1")
        ((outcome, reason),) = rows(state, "outcome, reason")
        assert outcome == "SKIPPED"
        assert "calendar 'never'" in reason


async def test_a_paused_item_is_skipped_or_waits_for_the_end_of_the_pause_if_it_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_source, "HELD_SECONDS", 0.01)
    state = tmp_path / "state.sqlite"
    items = "id: a, cron: '@reboot'\nid: b, cron: '@reboot', catch_up: latest"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, items))
        now = timestamp(one.clock.now())
        pause = Pause("night", EVERY_ITEM, now, None, "migration", "anna@host")
        await one.database.transact(lambda raw: put_pause(raw, pause, one.clock.now()))
        await started(one, "boot-1")
        skipped = ("a", "SKIPPED", "paused by anna@host: migration")
        assert rows(state, "item_id, outcome, reason") == [skipped]
        await one.database.transact(lambda raw: end_pause(raw, pause, "bob@host", one.clock.now()))
        await started(one, "boot-1")
        assert sorted(rows(state, "item_id, outcome, reason")) == [skipped, ("b", "QUEUED", "")]
