"""What is stored of a run is read in slices; how long they are changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aetherflow.engine.state import fold
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from aetherflow.events.bundle_use import BundleUse
from aetherflow.runs import stored_run as stored_run_module
from aetherflow.runs.stored_run import StoredRun, stored_run
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run
from tests.store.clock_double import FakeClock
from tests.store.real_parts import T0, job_started, opened, started

BUNDLE = BundleUse(id="b", fingerprint="f" * 64, manifest="/b.yaml", flow="flow.yaml")
END = e.RunFinished(at=T0, flow_id="flow", run_id="r", status="FAILED", duration_seconds=0)
AGAIN = e.RunResumed(at=T0, flow_id="flow", run_id="r", attempt=2, owner="me", bundle=BUNDLE)
HISTORY: list[e.Event] = [started("r"), *(job_started("r", f"j{number}") for number in range(4)), END, AGAIN]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@asynccontextmanager
async def run_of(path: Path, events: list[e.Event]) -> AsyncIterator[Database]:
    """Open a database that has a run with these events."""
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), FakeClock())
        if events:
            await Journal(database).of_run(claim.lease, 1).commit(events)
        yield database


@pytest.mark.asyncio
@pytest.mark.parametrize("length", range(len(HISTORY) + 1))
@pytest.mark.parametrize("events_at_once", [1, 2, 3, 1000])
async def test_a_history_of_any_length_is_read_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, length: int, events_at_once: int
) -> None:
    monkeypatch.setattr(stored_run_module, "SLICE_EVENTS", events_at_once)
    async with run_of(path, HISTORY[:length]) as database:
        found = await stored_run(database, "r")
    ended_at = T0 if length > HISTORY.index(END) else None
    bundle = BUNDLE if length > HISTORY.index(AGAIN) else None
    assert found == StoredRun(fold(HISTORY[:length]), bundle, ended_at)
    assert found.is_new is (length == 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_an_event_that_is_missing_is_noticed_in_each_slice(
    path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    monkeypatch.setattr(stored_run_module, "SLICE_EVENTS", 2)
    async with run_of(path, HISTORY) as database:
        await database.transact(lambda raw: raw.execute("DELETE FROM events WHERE seq = ?", (lost,)))
        with pytest.raises(StateError, match=f"event {lost} of run r is missing: after {lost - 1} follows"):
            await stored_run(database, "r")
