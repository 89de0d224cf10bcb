"""The graph that a flow file makes: needs, order edges, cycles, and what a job is planned with."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import downstream, find_cycle, upstream
from aetherflow.spec.document import Document, parse_document
from aetherflow.spec.flow import FlowFile, FlowMeta, JobSpec, RetrySpec, StepSpec
from aetherflow.spec.load import FlowDocument
from tests.engine.scripted_machine import plan_of_jobs, planned

FIRST = {"id": "first", "steps": [{"id": "s", "type": "t", "outputs": {"n": 1, "items": []}}]}
USES = "jobs.first.outputs.n"


def edges_of(job: dict[str, object]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    planned_job = plan_of_jobs(FIRST, {"id": "second", **job}).jobs[1]
    return planned_job.needs, planned_job.after


def step(**fields: object) -> dict[str, object]:
    return {"steps": [{"id": "s", "type": "t", **fields}]}


@pytest.mark.parametrize(
    "job",
    [
        {"when": f"{USES} == 1"},
        {"when": "jobs.first.status == 'FAILED'"},
        {"for_each": "{{jobs.first.outputs.items}}"},
        {"for_each": ["a", f"{{{{{USES}}}}}"]},
        step(inputs={"deep": [{"er": f"see {{{{{USES}}}}}"}]}),
        step(outputs={"n": f"{{{{{USES}:0}}}}"}),
    ],
)
def test_a_reference_makes_an_order_edge_and_no_need(job: dict[str, object]) -> None:
    assert edges_of(job) == ((), (0,))
    assert edges_of({**job, "depends_on": ["first"]}) == ((0,), ())


def test_needs_keep_their_order_and_count_once_and_may_stand_below() -> None:
    plan = plan_of_jobs({"id": "a", "depends_on": ["c", "b", "c"]}, {"id": "b"}, {"id": "c"})
    assert plan.jobs[0].needs == (2, 1)


def test_several_references_make_one_edge_each() -> None:
    plan = plan_of_jobs(
        {"id": "z", "when": "jobs.b.status == jobs.a.status and jobs.a.status != null"},
        {"id": "a"},
        {"id": "b"},
    )
    assert plan.jobs[0].after == (1, 2)


def test_without_edges_there_is_neither() -> None:
    assert edges_of(step(inputs={"text": "jobs.first.outputs.n ${jobs} {}"})) == ((), ())


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("a.b.status", "a.b"),
        ("a.outputs.b", "a"),
        ("a.b.outputs.status", "a.b"),
        ("a.b-c.d.outputs.n", "a.b-c.d"),
    ],
)
def test_the_longest_job_id_that_fits_is_meant(path: str, named: str) -> None:
    outputs = {"outputs": {"n": 1, "b": 1, "status": 1}}
    jobs = [{"id": name, **step(**outputs)} for name in ("a", "a.b", "a.b-c.d")]
    plan = plan_of_jobs(*jobs, {"id": "last", "when": f"jobs.{path} == 1"})
    assert [plan.jobs[index].id for index in plan.jobs[3].after] == [named]


def test_steps_params_and_outputs_with_dots_are_found() -> None:
    inputs = {"a": "{{steps.one.two.rows}}", "b": "{{params.p.q}}", "c": "{{jobs.first.outputs.o.p}}"}
    steps = [{"id": "one.two", "type": "t"}, {"id": "last", "type": "t", "inputs": inputs}]
    plan = plan_of_jobs(
        {"id": "first", **step(outputs={"o.p": 1})}, {"id": "second", "steps": steps}, params={"p.q": {}}
    )
    assert plan.jobs[1].after == (0,)


FLOWS: list[dict[str, Any]] = [{}, {"retry": {"max_attempts": 2}}]


def test_a_retry_is_that_of_the_step_else_the_job_else_the_flow_else_none() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "own", "type": "t", "retry": {"max_attempts": 4}},
        {"id": "plain", "type": "t"},
    ]
    jobs: list[dict[str, Any]] = [
        {"id": "a", "steps": steps},
        {"id": "b", "steps": steps, "retry": {"max_attempts": 3}},
    ]
    attempts = [
        [s.retry.max_attempts for job in plan_of_jobs(*jobs, **flow).jobs for s in job.steps]
        for flow in FLOWS
    ]
    assert attempts == [[4, 1, 4, 3], [4, 2, 4, 3]]


@pytest.mark.parametrize(("given_when", "expected"), [(True, True), (False, False), ("", True), (" ", True)])
def test_when_may_be_a_plain_truth_value_or_empty(given_when: object, expected: bool) -> None:  # noqa: FBT001 - a value
    condition = plan_of_jobs({"id": "a", "when": given_when}).jobs[0].when
    assert condition is not None
    assert condition.evaluate({}) is expected


def test_a_fingerprint_changes_with_type_inputs_and_outputs_and_nothing_else() -> None:
    base = {"inputs": {"a": 1, "b": 2}, "outputs": {"o": 1}}

    def fingerprint(**changes: object) -> str:
        return plan_of_jobs({"id": "a", **step(**{**base, **changes})}).jobs[0].steps[0].fingerprint()

    same: list[dict[str, Any]] = [
        {},
        {"inputs": {"b": 2, "a": 1}},
        {"timeout_seconds": 5, "description": "new"},
    ]
    assert len({fingerprint(**changes) for changes in same}) == 1
    other: list[dict[str, Any]] = [{"inputs": {"a": 1}}, {"outputs": {"o": 2}}, {"type": "u"}]
    assert len({fingerprint(**changes) for changes in ({}, *other)}) == 4


def test_upstream_and_downstream_follow_both_kinds_of_edges() -> None:
    plan = plan_of_jobs(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "when": "jobs.b.status == 1"}, {"id": "d"}
    )
    assert (upstream(plan, ["c"]), upstream(plan, ["a", "d"])) == ({0, 1, 2}, {0, 3})
    assert (downstream(plan, ["a"]), downstream(plan, ["c"])) == ({0, 1, 2}, {2})


def test_a_chain_of_100_000_jobs_is_planned() -> None:
    size = 100_000
    step_spec = StepSpec(id="s", type="t")
    jobs = [
        JobSpec(id=f"j{n}", steps=[step_spec], depends_on=[f"j{n + 1}"] if n + 1 < size else [])
        for n in range(size)
    ]
    document = parse_document("jobs: []", "flow.yaml")
    diagnostics = DiagnosticSink(document)
    plan = build_plan(loaded(jobs, document), diagnostics)
    assert diagnostics.diagnostics == []
    assert (plan.jobs[0].needs, plan.jobs[-1].needs) == ((1,), ())
    assert len(upstream(plan, ["j0"])) == size


def test_a_job_that_waits_for_20_000_others_is_planned() -> None:
    step_spec = StepSpec(id="s", type="t")
    names = [f"j{n}" for n in range(20_000)]
    jobs = [JobSpec(id=name, steps=[step_spec]) for name in names]
    document = parse_document("jobs: []", "flow.yaml")
    last = JobSpec(id="last", steps=[step_spec], depends_on=[*names, *names])
    plan = build_plan(loaded([*jobs, last], document), DiagnosticSink(document))
    assert plan.jobs[-1].needs == tuple(range(20_000))


def loaded(jobs: list[JobSpec], document: Document) -> FlowDocument:
    return FlowDocument(FlowFile(1, FlowMeta(id="f"), jobs), document, Path("flow.yaml"))


@given(st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=4).map(tuple), max_size=8))
def test_a_cycle_is_found_exactly_when_there_is_one(edges: dict[int, tuple[int, ...]]) -> None:
    left = dict(edges)
    while free := [node for node, befores in left.items() if not any(b in left for b in befores)]:
        for node in free:
            del left[node]
    cycle = find_cycle(edges)
    assert (cycle is not None) == bool(left)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in edges[before] for before, after in pairwise(cycle))


def test_the_definition_changes_with_any_word_of_the_file() -> None:
    texts = ["when: true", "when: false"]
    flow = "version: 1\nflow: {{id: f}}\njobs: [{{id: a, {}, steps: [{{id: s, type: t}}]}}]\n"
    plans = [planned(flow.format(text))[0] for text in (*texts, texts[0])]
    assert plans[0].definition == plans[2].definition != plans[1].definition


def test_the_default_retry_is_one_attempt() -> None:
    assert plan_of_jobs({"id": "a"}).jobs[0].steps[0].retry == msgspec.convert({}, RetrySpec)
