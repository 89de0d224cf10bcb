"""A sync that is killed, at random moments or at named points, never leaves a half active bundle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sizes import LARGE
from tests.torture.bundle_shop import Shop
from tests.torture.dying_sync import POINTS
from tests.torture.processes import seed

KILLS = 600 if LARGE else 5
PASSAGES = (1, 2, 5, 17, 40) if LARGE else (1, 5)

pytestmark = pytest.mark.torture


def test_a_sync_killed_at_random_moments(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - repeatable, keeps no secret
    shop = Shop(tmp_path)
    shop.finish()
    shop.write_version()
    process = shop.start()
    shop.wait_for_lock(process)
    began = time.monotonic()
    process.communicate(timeout=60)
    whole = time.monotonic() - began
    kills = ends = switched = 0
    before = shop.active_version()
    while kills < KILLS:
        shop.write_version()
        process = shop.start()
        shop.wait_for_lock(process)
        began = time.monotonic()
        try:
            process.communicate(timeout=chance.uniform(0, 1.3) * whole)
            assert process.returncode == 0, (tmp_path / "said.log").read_text()[-2000:]
            ends += 1
            whole = (whole + time.monotonic() - began) / 2  # others use this machine too
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
        after = shop.active_version()
        assert after in (before, shop.version), "neither the last whole version nor the new one"
        assert process.returncode != 0 or after == shop.version
        switched += after != before
        before = after
        if chance.random() < 0.1:
            shop.finish()
            before = shop.version
    shop.finish()
    counted = f"{kills} kills, {ends} ends, {switched} switches, 0 half bundles"
    record_property("torture", f"bundle sync, seed {number}: {counted}")


@pytest.mark.parametrize("point", ["object-written", "object-named", *POINTS])
def test_a_sync_that_dies_at_a_point(
    point: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    shop = Shop(tmp_path)
    deaths = 0
    for passage in PASSAGES:
        if point == "old-renamed":
            for _ in range(3):  # so that there is one to remove
                shop.write_version()
                shop.finish()
        before = shop.active_version()
        shop.write_version()
        process = shop.start(point, str(passage))
        process.communicate(timeout=60)
        died = process.returncode == -signal.SIGKILL
        assert died or process.returncode == 0, (tmp_path / "said.log").read_text()[-2000:]
        deaths += died
        assert shop.active_version() in (before, shop.version)
        if point in ("after-switch", "old-renamed", "before-objects-go", "before-report"):
            assert shop.active_version() == shop.version
        elif died:
            assert shop.active_version() == before
        shop.finish()
    assert deaths, "the point was never passed"
    record_property("torture", f"bundle sync dies at {point}: {deaths} deaths, 0 half bundles")


def test_many_syncs_and_readers_at_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    shop = Shop(tmp_path)
    shop.finish()
    reads = 0
    rounds = 20 if LARGE else 2
    for _ in range(rounds):
        before = shop.version
        shop.write_version()
        processes = [shop.start() for _ in range(3)]
        while any(process.poll() is None for process in processes):
            assert shop.active_version() in (before, shop.version)
            reads += 1
        fingerprints = {process.communicate()[0].split(b'"fingerprint": "')[1][:32] for process in processes}
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert len(fingerprints) == 1
        shop.finish()
    record_property("torture", f"bundle syncs: {3 * rounds} at three at once, {reads} whole reads meanwhile")
