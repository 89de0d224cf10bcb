"""Random flows for property tests: graphs of jobs with gates, fans, retries, skips and failures that heal."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from hypothesis import strategies as st

from aetherflow.engine.commands import RunAttempt
from aetherflow.engine.state import RunState
from aetherflow.plan.plan import Plan
from tests.engine.scripted_machine import Ending, failed, plan_of_jobs

FOREVER = 1000


class Scenario(msgspec.Struct, frozen=True):
    """A flow, how wide it runs, and how often each `job.step` fails before it succeeds."""

    flow: str
    plan: Plan
    limit: int
    failures: dict[str, int]
    skips: frozenset[str]

    def __repr__(self) -> str:
        return f"limit={self.limit} failures={self.failures} skips={sorted(self.skips)} flow={self.flow}"

    def play(self, work: RunAttempt, failures: int, inputs: Any) -> Ending:
        """End an attempt: what it yields depends on nothing but the step and its inputs."""
        name = f"{work.instance.job.id}.{work.step.id}"
        if failures < self.failures.get(name, 0):
            return failed()
        if name in self.skips:
            return Ending("SKIPPED", {"partial": name})
        said = msgspec.json.encode([work.instance.id, work.step.id, inputs])
        digest = hashlib.blake2b(said, digest_size=4).hexdigest()
        return Ending("SUCCESS", {"key": digest, "items": [digest, f"{digest}-2"][: int(digest[0], 16) % 3]})

    def may_heal(self, state: RunState) -> bool:
        """Whether a step has failed that will succeed when it is tried often enough."""
        return any(
            step.status == "FAILED" and self.failures[f"{job_id.partition('[')[0]}.{step_id}"] < FOREVER
            for job_id, job in state.jobs.items()
            for step_id, step in job.steps.items()
        )


@st.composite
def scenarios(draw: st.DrawFn, most_jobs: int = 5) -> Scenario:
    """Draw a flow whose end does not depend on the order in which its jobs run.

    A gate opens when the job before it has an output, so it can only go from closed to open while failures
    heal; `fail_fast` comes only with failures that heal.
    """
    size = draw(st.integers(1, most_jobs))
    script = _Script(fail_fast=draw(st.integers(0, 4)) == 0)
    in_file = draw(st.permutations([_job(draw, number, script) for number in range(size)]))
    return Scenario(
        flow=msgspec.json.encode(in_file).decode(),
        plan=plan_of_jobs(*in_file, fail_fast=script.fail_fast),
        limit=draw(st.integers(1, 3)),
        failures=script.failures,
        skips=frozenset(script.skips),
    )


class _Script(msgspec.Struct):
    """What a scenario's steps shall do, while it is drawn."""

    fail_fast: bool
    failures: dict[str, int] = {}
    skips: set[str] = set()


_items = st.lists(st.integers(1, 9), max_size=3)
_FOLLOW_UPS = ("", "", "", "works", "heals", "broken")
"""What follows the success of a step, if anything."""
_KINDS = ("works", "works", "works", "skips", "skips job", "heals", "heals", "broken", "forgiven")


def _job(draw: st.DrawFn, number: int, script: _Script) -> dict[str, Any]:
    earlier = [f"j{n}" for n in range(number)]
    needs = draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
    job: dict[str, Any] = {"id": f"j{number}", "depends_on": needs}
    if earlier and draw(st.integers(0, 2)) == 0:
        gate = draw(st.sampled_from(earlier))
        job["when"] = draw(
            st.sampled_from([f"jobs.{gate}.outputs.key != null", f"jobs.{gate}.status == 'SUCCESS'"])
        )
    inputs: dict[str, Any] = {need: f"{{{{jobs.{need}.outputs.key:none}}}}" for need in needs}
    if draw(st.integers(0, 3)) == 0:
        from_job = bool(needs) and not script.fail_fast and draw(st.booleans())
        job["for_each"] = f"{{{{jobs.{needs[0]}.outputs.items}}}}" if from_job else draw(_items)
        job["max_parallel"] = draw(st.sampled_from([None, 1, 2]))
        inputs["item"] = "{{item:null}}"
    kinds = draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=3))
    job["steps"] = [
        _step(draw, job["id"], f"s{place}", kind, inputs, script) for place, kind in enumerate(kinds)
    ]
    return job


def _step(
    draw: st.DrawFn, job_id: str, step_id: str, kind: str, inputs: dict[str, Any], script: _Script
) -> dict[str, Any]:
    name = f"{job_id}.{step_id}"
    step: dict[str, Any] = {
        "id": step_id,
        "type": "t",
        "inputs": {**inputs, "before": "{{job.outputs.key:nothing}}"},
        "outputs": {"key": "{{result.key}}", "items": "{{result.items}}", step_id: "{{result.partial:no}}"},
        "retry": {"max_attempts": draw(st.integers(1, 3)), "backoff_seconds": 1},
    }
    follow_up = draw(st.sampled_from(_FOLLOW_UPS))
    if follow_up:
        step["inputs"]["after"] = "move"
    if follow_up == "heals":
        script.failures[f"{name}.after"] = draw(st.integers(1, 2))
    elif follow_up == "broken" and not script.fail_fast:
        script.failures[f"{name}.after"] = FOREVER
    match kind:
        case "skips":
            script.skips.add(name)
        case "skips job":
            script.skips.add(name)
            step["on_no_data"] = "skip_job"
        case "heals":
            script.failures[name] = draw(st.integers(1, 2))
        case "broken" if not script.fail_fast:
            script.failures[name] = FOREVER
        case "forgiven":
            script.failures[name] = FOREVER
            step["continue_on_error"] = True
        case _:
            pass
    return step
