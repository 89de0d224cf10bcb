"""The lease of a server whose clock is behind shows others from the first moment that it lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.scheduler.server_clocks import COMPARING
from aetherflow.server.server_lease import ServerLease
from aetherflow.server.server_status import server_status
from aetherflow.store.database import Database
from tests.scheduler.scheduler_parts import CountingClock

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("off", [-3600, 3600])
async def test_a_new_server_whose_clock_is_off_is_seen_to_live_and_to_be_on_standby(
    tmp_path: Path, off: int
) -> None:
    right, wrong = CountingClock("r"), CountingClock("w")
    wrong.jump(off)
    database = await Database.open(tmp_path / "state.sqlite")
    try:
        await ServerLease.take(database, right)
        lease = await ServerLease.take(database, wrong)
        found = await database.read(lambda raw: server_status(raw, lease.name, right.now()))
        assert found is not None
        assert (found.validity, found.state, found.standby) == ("live", "standby", COMPARING)
        await lease.give_back()
        assert await database.read(lambda raw: server_status(raw, lease.name, right.now())) is None
    finally:
        await database.aclose()
