"""A server that finds a state database of AetherFlow 0.0 makes its own beside it, and says so once."""

from __future__ import annotations

import os
import signal

import pytest

from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.runs.ports import ObserverSpec
from aetherflow.server.open_server import Server
from aetherflow.server.server import ServeRequest, serve
from aetherflow.testing.recorder import Recorder
from tests.runs.run_parts import Place
from tests.store.old_layout import write_old_database

pytestmark = pytest.mark.asyncio


async def _end(_: Server) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_a_server_says_it_when_it_makes_its_database(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    place.state.parent.mkdir(parents=True, exist_ok=True)
    old = write_old_database(place.state)

    async def notices() -> list[str]:
        recorder = Recorder()
        observer = ObserverSpec("recorder", lambda: recorder, "wait")
        await serve(ServeRequest(files=(), state=old), [observer], services=[_end], process_env=place.env)
        return [e.message for e in recorder.events if isinstance(e, ScheduleNotice) and e.code == "AF185"]

    new = old.with_name(f"{old.stem}.v1{old.suffix}")
    assert [str(new) in text for text in await notices()] == [True]
    assert await notices() == []
