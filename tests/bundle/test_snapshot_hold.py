"""The use of a snapshot: it stays as long as somebody uses it, and nobody gets one that is going away."""

from __future__ import annotations

import fcntl
import os

import pytest

from aetherflow.bundle.snapshot import hold, hold_active, remove_old
from tests.bundle.bundle_parts import Place

pytestmark = pytest.mark.asyncio


async def test_without_a_bundle_there_is_nothing_to_hold(place: Place) -> None:
    assert hold_active(place.paths) is None
    assert hold(place.paths, "0" * 32) is None


async def test_several_may_hold_one_snapshot(place: Place) -> None:
    await place.sync()

    with hold_active(place.paths) or pytest.fail("none") as one:
        two = hold(place.paths, place.active)
        assert two is not None
        assert one.path == two.path
        two.close()


async def test_one_that_is_being_removed_is_not_given_out(place: Place) -> None:
    await place.sync()
    remover = os.open(place.paths.snapshots / place.active, os.O_RDONLY)
    fcntl.flock(remover, fcntl.LOCK_EX)

    assert hold(place.paths, place.active) is None

    os.close(remover)
    held = hold(place.paths, place.active)
    assert held is not None
    held.close()


async def test_what_is_held_is_not_removed_and_goes_later(place: Place) -> None:
    await place.sync()
    first = hold_active(place.paths)
    assert first is not None
    for number in range(3):
        place.write("run.sh", f"{number}")
        await place.sync()
    assert first.path.is_dir()

    assert remove_old(place.paths, place.active) == []
    first.close()

    assert remove_old(place.paths, place.active) == [first.path.name]
    assert not first.path.exists()


async def test_a_link_to_what_is_no_snapshot_is_no_active_bundle(place: Place) -> None:
    await place.sync()
    place.paths.active.unlink()
    place.paths.active.symlink_to("/etc")

    assert place.active == ""
    assert hold_active(place.paths) is None

    await place.sync()
    assert place.tree() == place.in_source()
