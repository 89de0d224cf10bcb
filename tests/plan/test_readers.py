"""Who reads an output, in words: what a warning about a masked output names."""

from __future__ import annotations

import pytest

from aetherflow.plan.readers import reader_of_job_output, reader_of_output
from tests.engine.scripted_machine import plan_of_jobs

USES = "jobs.a.outputs.n"


def reader_of(second: dict[str, object], key: str = "n") -> str:
    first = {"id": "a", "steps": [{"id": "s", "type": "t", "outputs": {"n": "{{result.n}}", "nn": 2}}]}
    plan = plan_of_jobs(first, {"id": "b", **second})
    return reader_of_job_output(plan, plan.jobs[0], key)


def step(**fields: object) -> dict[str, object]:
    return {"steps": [{"id": "x", "type": "t", **fields}]}


@pytest.mark.parametrize(
    ("job", "reader"),
    [
        ({"when": f"{USES} == 1"}, "the condition (when) of job b"),
        (step(inputs={"deep": f"{{{{{USES}.deep}}}}"}), "an input of step b.x"),
        ({"for_each": f"{{{{{USES}}}}}"}, "the for_each of job b"),
        (step(inputs={"all": "{{jobs.a.outputs}}"}), "an input of step b.x"),
        (step(outputs={"m": f"{{{{{USES}}}}}"}), "an output of step b.x"),
        ({"when": "jobs.a.outputs.nn == 1"}, "job a"),
        ({"when": "jobs.a.status == 'SUCCESS'"}, "job a"),
    ],
)
def test_the_first_reader_of_an_output_of_a_job_is_named(job: dict[str, object], reader: str) -> None:
    assert reader_of(job) == reader


def test_an_output_of_a_step_is_read_in_its_own_job_only() -> None:
    steps = [
        {"id": "s", "type": "t"},
        {"id": "x", "type": "t", "inputs": {"a": "{{steps.s.n}}", "b": "{{steps.s.outputs.m}}"}},
    ]
    plan = plan_of_jobs({"id": "a", "steps": steps}, {"id": "b", "steps": steps[:1]})
    first, second = plan.jobs
    assert reader_of_output(first, first.steps[0], "n") == "an input of step a.x"
    assert reader_of_output(first, first.steps[0], "m") == "an input of step a.x"
    assert reader_of_output(first, first.steps[0], "other") is None
    assert reader_of_output(second, second.steps[0], "n") is None
