"""`explain` says what the steps of a running job wait for now, and not what they waited for before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aetherflow.admin.explain_run import explain_run
from aetherflow.admin.run_history import RunFacts, RunHistory
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import JobRow, StepRow, WaitRow
from aetherflow.store.run_list import ListedRun

AT = datetime(2026, 1, 31, 2, tzinfo=UTC)
BEFORE, BEGUN, AFTER = (timestamp(AT + timedelta(seconds=seconds)) for seconds in (0, 10, 11))


def sentences(steps: list[StepRow], waits: list[WaitRow], name: str, status: str = "RUNNING") -> list[str]:
    """Return what `explain` says of a part of a run with these steps, each in an instance of its own."""
    plan = [PlannedJob(id="load", is_mapped=True, steps=[PlannedStep("a", "t")])]
    jobs = [JobRow("load", "RUNNING", BEFORE, None, None, None, None)]
    jobs += [JobRow(step.job_id, "RUNNING", BEFORE, None, None, None, None, "x") for step in steps]
    run = ListedRun("r", "f", "flow.yaml", status, 1, BEFORE, None, {}, "", "me", None)
    facts = RunFacts(RunHistory(run, jobs, steps, waits=waits, plan=plan))
    return [reason.sentence for reason in explain_run(facts, name)[0].reasons]


def step(number: int, status: str) -> StepRow:
    return StepRow(f"load[{number}]", "a", "t", status, 2, BEGUN, None, None, None, None)


def test_the_waits_of_the_first_instances_are_named_and_the_others_counted() -> None:
    steps = [step(number, "PENDING") for number in range(5)]
    waits = [WaitRow(one.job_id, "a", "warehouse", 1, 4, AFTER, None, ["g, run q, x.y"]) for one in steps]

    found = sentences(steps, waits, "load")

    assert found[-4:] == [
        *(
            f"Step load[{number}].a waits for 1 slot of the pool warehouse (4), held by g, run q, x.y."
            for number in range(3)
        ),
        "2 more of its steps wait.",
    ]
    assert sentences(steps, waits, "load[4]")[-1].startswith("Step load[4].a waits for 1 slot of the pool")


def test_a_wait_of_an_earlier_attempt_does_not_go_on() -> None:
    waits = [WaitRow("load[0]", "a", "", 0, 0, BEFORE, None, lock="till")]

    assert sentences([step(0, "RUNNING")], waits, "load")[-1] == "It is running."
    assert "It waited in vain for the lock till." in sentences([step(0, "RUNNING")], waits, "load[0].a")

    again = [*waits, WaitRow("load[0]", "a", "", 0, 0, AFTER, None, lock="till")]
    assert sentences([step(0, "RUNNING")], again, "load")[-1] == "Step load[0].a waits for the lock till."


def test_nothing_waits_in_a_run_whose_process_has_died() -> None:
    waits = [WaitRow("load[0]", "a", "warehouse", 1, 4, AFTER, None, ["g, run q, x.y"])]

    found = sentences([step(0, "PENDING")], waits, "load[0].a", "INTERRUPTED")

    assert found[0] == "It waited in vain for 1 slot of the pool warehouse (4), held by g, run q, x.y."
