"""One sync at a time: others wait, learn who holds the lock, and continue when its process is gone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from aetherflow.bundle.sync_lock import exclusive
from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother
from tests.bundle.bundle_parts import Place

pytestmark = pytest.mark.asyncio
HOLDER = """
import sys, anyio, anyio.to_thread
from pathlib import Path
from aetherflow.bundle.sync_lock import exclusive
from aetherflow.clock import SystemClock

async def main():
    async with exclusive(Path(sys.argv[1]), "it", SystemClock(), 5):
        print("held", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)  # until the test ends

anyio.run(main)
"""


@contextmanager
def held_by_a_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_the_wait_is_bounded_and_says_who(place: Place) -> None:
    with held_by_a_process(place.paths.lock) as holder:
        began = time.monotonic()
        with pytest.raises(HeldByAnother) as caught:
            await place.sync(wait_seconds=0)
        assert time.monotonic() - began < 20

    assert caught.value.code == "AF862"
    assert caught.value.exit_code == 75
    assert f"the bundle 'demo' is being synced by process {holder.pid} on " in caught.value.message
    assert " since 20" in caught.value.message
    assert place.active == ""


async def test_a_killed_holder_blocks_nobody(place: Place) -> None:
    with held_by_a_process(place.paths.lock) as holder:
        holder.kill()
        holder.wait()

        await place.sync(wait_seconds=0)

    assert place.tree() == place.in_source()


async def test_a_waiting_sync_continues_when_the_holder_is_gone(place: Place) -> None:
    with held_by_a_process(place.paths.lock) as holder:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place.sync)
            await anyio.wait_all_tasks_blocked()
            assert place.active == ""
            holder.kill()

    assert place.tree() == place.in_source()


async def test_a_waiting_sync_can_be_cancelled(place: Place) -> None:
    with held_by_a_process(place.paths.lock):
        with anyio.move_on_after(0.2) as scope:
            await place.sync(wait_seconds=60)

        assert scope.cancelled_caught


async def test_the_lock_is_free_after_a_failure(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with pytest.raises(ValueError, match="of the block"):
        async with exclusive(lock, "it", SystemClock(), 0):
            raise ValueError("of the block")

    async with exclusive(lock, "it", SystemClock(), 0):
        with pytest.raises(HeldByAnother):
            async with exclusive(lock, "it", SystemClock(), 0):
                raise AssertionError
