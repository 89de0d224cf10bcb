"""What becomes of a firing whose ticket was refused depends on the kind of the refusal, never on its code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from aetherflow.errors import (
    AetherFlowError,
    ConfigError,
    Diagnostic,
    FiringTaken,
    InvalidInput,
    LockHeld,
    RunEnded,
    RunInUse,
)
from aetherflow.runs.run_ticket import Refusal, RefusalKind, refusal_of
from aetherflow.scheduler.ports import FiringEnd
from aetherflow.server.firing_runs import end_of_refused, ticket_of
from aetherflow.store.firings import Firing
from aetherflow.store.projection import timestamp
from tests.scheduler.scheduler_parts import schedule

STATE = Path("state.sqlite")

ENDS: dict[RefusalKind, tuple[str, str]] = {
    "server_stopping": ("TAKEN_OVER", "why"),
    "taken_over": ("TAKEN_OVER", "why"),
    "cancelled": ("CANCELLED", "why"),
    "run_in_use": ("POSTPONED", "why"),
    "run_ended": ("POSTPONED", "why"),
    "lock_held": ("SKIPPED", "why"),
    "left_as_it_is": ("FAILED", "AF999: why"),
    "invalid_flow": ("FAILED", "AF999: why"),
    "error": ("FAILED", "AF999: why"),
}


@pytest.mark.parametrize("kind", get_args(RefusalKind))
def test_each_kind_of_refusal_ends_a_firing_in_its_own_way(tmp_path: Path, kind: RefusalKind) -> None:
    item = schedule(tmp_path, "id: a, cron: '0 4 * * *', overlap: skip").items["a"]
    assert end_of_refused(Refusal("r", kind, "why", "AF999"), item) == FiringEnd(*ENDS[kind])  # type: ignore[arg-type]  # a literal


def test_the_time_limit_of_an_item_is_in_its_tickets(tmp_path: Path) -> None:
    items = schedule(
        tmp_path, "id: a, cron: '0 4 * * *', timeout_seconds: 2m\nid: b, cron: '0 4 * * *'"
    ).items
    at = datetime(2026, 1, 2, 4, tzinfo=UTC)
    firing = Firing(
        firing_id=1,
        scheduler="night",
        item_id="a",
        scheduled_at=timestamp(at),
        cause="tick",
        decided_at=timestamp(at),
        outcome="QUEUED",
        run_id="r1",
        started_at=None,
        finished_at=None,
        reason="",
        due_at=timestamp(at),
        ticks=1,
        priority=0,
        server="s",
        cancel_reason=None,
    )
    assert [ticket_of(item, firing).item_timeout_seconds for item in items.values()] == [120, None]


def test_an_item_that_queues_waits_for_a_lock(tmp_path: Path) -> None:
    item = schedule(tmp_path, "id: a, cron: '0 4 * * *', overlap: queue").items["a"]
    assert end_of_refused(Refusal("r", "lock_held", "why"), item) == FiringEnd("POSTPONED", "why")


@pytest.mark.parametrize(
    ("error", "kind", "state"),
    [
        (RunInUse("why", state=STATE), "run_in_use", "state.sqlite"),
        (RunEnded("why", state=STATE), "run_ended", "state.sqlite"),
        (LockHeld("why"), "lock_held", ""),
        (FiringTaken("why"), "taken_over", ""),
        (ConfigError("why"), "error", ""),
        (ConfigError("why", code="AF620"), "error", ""),
        (AetherFlowError("why", code="AF210"), "error", ""),
        (InvalidInput([Diagnostic("AF101", "why", "flow.yaml")]), "invalid_flow", ""),
    ],
)
def test_the_kind_is_decided_by_the_type_of_the_error(
    error: AetherFlowError, kind: RefusalKind, state: str
) -> None:
    refusal = refusal_of("r", error)
    assert (refusal.kind, refusal.state, refusal.code) == (kind, state, error.code)
