"""Files that change are noticed once each and when they are whole; what systemd receives without a socket."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from aetherflow.server.file_watch import POLL_SECONDS, signature, watch_files
from aetherflow.server.sd_notify import Notifier
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio


async def test_a_change_counts_once_it_looks_the_same_twice(tmp_path: Path) -> None:
    path, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    path.write_text("one")
    clock = FakeClock()
    seen: list[Path] = []

    async def note(changed: Path) -> None:
        seen.append(changed)

    async def look() -> None:
        clock.advance(POLL_SECONDS)
        await clock.sleeping(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_files, [path, other], clock, note)
        await clock.sleeping(1)
        await look()
        assert seen == []
        path.write_text("two, half")
        await look()
        path.write_text("two, half and the rest")
        await look()
        assert seen == [], "it was still being written"
        await look()
        assert seen == [path]
        other.write_text("new")
        replacement = tmp_path / "c"
        replacement.write_text("two, half and the rest")
        replacement.replace(path)
        for _ in range(3):
            await look()
        assert seen == [path, path, other]
        tasks.cancel_scope.cancel()


async def test_a_change_between_the_reading_and_the_watching_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("as it was read")
    as_read = signature(path)
    path.write_text("as it is when the watching begins")
    clock = FakeClock()
    seen: list[Path] = []

    async def note(changed: Path) -> None:
        seen.append(changed)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_files, [path], clock, note, [as_read])
        for _ in range(2):
            await clock.sleeping(1)
            clock.advance(POLL_SECONDS)
        await clock.sleeping(1)
        assert seen == [path]
        tasks.cancel_scope.cancel()


async def test_a_file_that_is_gone_has_no_signature(tmp_path: Path) -> None:
    assert signature(tmp_path / "none") is None


async def test_without_systemd_nothing_is_sent(tmp_path: Path) -> None:
    clock = FakeClock()
    for env in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {"NOTIFY_SOCKET": "vsock:2"}):
        notifier = Notifier(env)
        notifier.send("READY=1")
        await notifier.watch(clock)  # no watchdog: it returns at once
    assert Notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0
    assert Notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 3
