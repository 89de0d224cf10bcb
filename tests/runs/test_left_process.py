"""A process that the run leaves behind and that cannot be ended is reported by its number."""

from __future__ import annotations

import pytest

from aetherflow.events import run_events as e
from aetherflow.process import guardian
from aetherflow.process.guardian import Ended
from tests.runs.run_parts import Place, flow


@pytest.mark.asyncio
async def test_a_process_that_cannot_be_ended_is_reported(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unkillable(run_id: str, grace_seconds: float = 0) -> Ended:
        """As when the process belongs to another user."""
        assert (run_id, grace_seconds) == ("r", 0)
        return Ended(survivors=(4711,))

    monkeypatch.setattr(guardian, "end_leftovers", unkillable)

    report = await place.run(flow("{id: a, steps: [{id: s, type: probe}]}"), run_id="r")

    assert report.status == "SUCCESS"
    reported = [(n.code, n.level, n.message) for n in place.seen.of(e.Notice) if n.code]
    assert reported == [("AF708", "warning", "process 4711 of the run could not be ended")]
