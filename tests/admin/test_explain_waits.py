"""How `explain` counts what ran while a job waited for a free place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aetherflow.admin.explain_run import explain_run
from aetherflow.admin.run_history import RunFacts, RunHistory
from aetherflow.events.planned_jobs import PlannedJob
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import JobRow
from aetherflow.store.run_list import ListedRun

AT = datetime(2026, 1, 31, 2, tzinfo=UTC)


def at(seconds: float) -> str:
    return timestamp(AT + timedelta(seconds=seconds))


def row(job_id: str, start: float, end: float | None, item: str = "") -> JobRow:
    status = "RUNNING" if end is None else "SUCCESS"
    return JobRow(job_id, status, at(start), at(end) if end is not None else None, None, None, None, item)


def test_a_job_that_waited_for_a_free_place_says_how_many_others_ran_when_it_was_ready() -> None:
    rows = [
        row("first", 0, 5),
        row("ended", 0, 4),
        row("slow", 1, None),
        row("fan", 1, 30),  # its instances count, not it
        row("fan[0]", 2, 20, "a"),
        row("fan[1]", 12, 20, "b"),
        row("last", 9, 10),
    ]
    plan = [PlannedJob(id=id_) for id_ in ("first", "ended", "slow", "fan")]
    plan.append(PlannedJob(id="last", needs=["first"]))
    run = ListedRun("r", "f", "flow.yaml", "RUNNING", 1, at(0), None, {}, "", "me", 30.0)

    found = explain_run(RunFacts(RunHistory(run, rows, [], plan=plan)), "last")

    (waited,) = [one for one in found[0].reasons if one.kind == "waited"]
    assert waited.sentence == "It waited 4.00 s for a free place: 2 others were running."
    assert waited.at == at(5)
