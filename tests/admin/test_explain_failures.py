"""`explain` says which jobs made a run fail: no message and no other hook, whose failure changes nothing."""

from __future__ import annotations

from aetherflow.admin.explain_run import explain_run
from aetherflow.admin.run_history import RunFacts, RunHistory
from aetherflow.store.queries import JobRow
from aetherflow.store.run_list import ListedRun

AT = "2026-01-31T02:00:00.000000+00:00"


def test_a_message_that_was_not_sent_is_no_reason_of_a_failure() -> None:
    run = ListedRun("r", "f", "flow.yaml", "FAILED", 1, AT, AT, {}, "", "me", None)
    jobs = [JobRow(name, "FAILED", AT, AT, None, None, None) for name in ("load", "@on_exit", "@notify-1")]

    (first, *_) = explain_run(RunFacts(RunHistory(run, jobs, [])))

    assert first.reasons[-1].sentence.endswith(", because load failed; jobs: 1 FAILED.")
