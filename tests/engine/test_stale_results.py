"""Results that stay although what they had read runs again: found, made again or refused."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.engine.resume import plan_resume
from aetherflow.engine.stale_results import stale_results
from aetherflow.engine.state import fold
from aetherflow.errors import UsageError
from aetherflow.events import run_events as e
from aetherflow.events.stale_readers import readers_to_run, stale_text
from aetherflow.plan.plan import Plan
from tests.engine.random_flows import Scenario, scenarios
from tests.engine.scripted_machine import Ending, Play, Session, by_name, failed, plan_of_jobs

ENDED = "jobs.load.status != 'RUNNING'"
REPORT: tuple[dict[str, Any], ...] = (
    {"id": "load"},
    {"id": "collect", "when": ENDED},
    {"id": "mail", "depends_on": ["collect"]},
    {"id": "free"},
)
LOAD_FAILS = by_name(load_s=failed())


def steps(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": step_id, "type": "t", **more} for step_id in ids]


def resumed(
    plan: Plan,
    session: Session | None = None,
    *,
    play: Play | None = None,
    rerun: tuple[str, ...] = (),
    selected: set[int] | None = None,
) -> Session:
    """Run the flow, or resume it, to its end."""
    history = session.history if session else ()
    again = Session(plan, history, play=play, rerun=rerun, selected=selected)
    again.finish()
    return again


def stale(session: Session) -> dict[str, list[str]]:
    """Return what the last end of the run says; the first event of a resume has said it before."""
    end = session.history[-1]
    assert isinstance(end, e.RunFinished)
    assert end.stale == fold(session.history).stale
    return end.stale


def predicted(session: Session) -> dict[str, list[str]]:
    return next(event.stale for event in reversed(session.history) if isinstance(event, e.RunResumed))


def test_a_report_that_had_read_a_failed_job_is_stale_and_so_is_what_read_the_report() -> None:
    plan = plan_of_jobs(*REPORT)
    first = resumed(plan, play=LOAD_FAILS)
    assert stale(first) == {}
    again = resumed(plan, first)
    assert again.state.phase == "SUCCESS"
    assert predicted(again) == stale(again) == {"collect": ["load"], "mail": ["collect"]}
    assert readers_to_run(stale(again)) == ["collect"]
    assert stale_text(stale(again)) == "collect read load; mail read collect"


def test_a_result_stays_stale_until_its_job_runs_again() -> None:
    plan = plan_of_jobs(*REPORT)
    again = resumed(plan, resumed(plan, play=LOAD_FAILS))
    once_more = resumed(plan, again, rerun=("free",))
    assert predicted(once_more) == stale(once_more) == {"collect": ["load"], "mail": ["collect"]}
    mended = resumed(plan, once_more, rerun=("collect",))
    assert (predicted(mended), stale(mended)) == ({}, {})
    assert stale(resumed(plan, mended)) == {}


def test_a_run_that_was_killed_says_so_by_its_last_event() -> None:
    plan = plan_of_jobs(*REPORT)
    killed = Session(plan, resumed(plan, play=LOAD_FAILS).history)  # load is running
    assert fold(killed.history).stale == {"collect": ["load"], "mail": ["collect"]}
    again = resumed(plan, killed)
    assert predicted(again) == stale(again) == {"collect": ["load"], "mail": ["collect"]}


def test_a_job_that_never_ran_again_leaves_nothing_stale() -> None:
    waits = plan_of_jobs({"id": "first"}, {"id": "load", "depends_on": ["first"]}, *REPORT[1:3])
    blocked = resumed(waits, play=by_name(first_s=failed()))
    assert blocked.statuses()["load"] == "BLOCKED"
    again = resumed(waits, blocked, play=by_name(first_s=failed()))
    assert predicted(again) == {"collect": ["load"], "mail": ["collect"]}
    assert stale(again) == {}, "load was BLOCKED once more: collect is right"
    assert stale(resumed(waits, again)) == {"collect": ["load"], "mail": ["collect"]}


def test_a_needed_job_that_alone_runs_again_makes_those_stale_that_need_it() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]})
    state = fold(resumed(plan).history)
    found = plan_resume(plan, state, only="a", selected={0})
    assert found.stale == {"b": ["a"], "c": ["b"]}
    assert found.texts("stale") == ["b (read a)", "c (read b)"]
    assert plan_resume(plan, state, ["a"]).stale == {}, "what follows runs again too"


def test_instances_of_a_mapped_reader_are_one_entry_and_a_single_one_is_named() -> None:
    load = {"id": "load", "steps": steps("s", continue_on_error=False)}
    read = {
        "id": "read",
        "for_each": ["x", "y"],
        "steps": [{"id": "s", "type": "t", "inputs": {"v": "{{jobs.load.status}}"}}],
    }
    plan = plan_of_jobs(load, read)
    again = resumed(plan, resumed(plan, play=LOAD_FAILS))
    assert stale(again) == {"read": ["load"]}
    one = resumed(plan, again, rerun=("read[0]",))
    assert stale(one) == {"read[1]": ["load"]}
    assert stale(resumed(plan, one, rerun=("read[1]",))) == {}


def test_a_mapped_job_of_which_some_instances_run_again_was_read_as_a_whole() -> None:
    plan = plan_of_jobs({"id": "load", "for_each": ["x", "y"]}, *REPORT[1:])
    again = resumed(plan, resumed(plan, play=by_name(**{"load[1]_s": failed()})))
    assert stale(again) == {"collect": ["load"], "mail": ["collect"]}


def test_a_kept_step_of_a_job_that_continues_is_stale_and_named() -> None:
    job = {
        "id": "j",
        "steps": [
            *steps("try", continue_on_error=True),
            {"id": "look", "type": "t", "inputs": {"v": "{{steps.try.status}}"}},
            *steps("other", "end"),
        ],
    }
    plan = plan_of_jobs(job)
    broken = resumed(plan, play=by_name(j_try=failed(), j_end=failed()))
    again = resumed(plan, broken)
    assert predicted(again) == stale(again) == {"j/look": ["j/try"]}
    assert stale_text(stale(again)) == "j.look read j.try"
    assert stale(resumed(plan, again, rerun=("j.look",))) == {}


def test_a_kept_step_that_had_read_another_job_is_stale_although_its_job_runs() -> None:
    reader = {
        "id": "r",
        "steps": [
            *steps("first"),
            {"id": "read", "type": "t", "inputs": {"v": "{{jobs.load.status}}"}},
            *steps("end"),
        ],
    }
    plan = plan_of_jobs({"id": "load"}, reader)
    broken = resumed(plan, play=by_name(load_s=failed(), r_end=failed()))
    again = resumed(plan, broken)
    assert predicted(again) == stale(again) == {"r/read": ["load"]}


def test_a_job_that_its_condition_skipped_looks_again_and_is_not_stale() -> None:
    plan = plan_of_jobs({"id": "load"}, {"id": "ok", "when": "jobs.load.status == 'SUCCESS'"})
    again = resumed(plan, resumed(plan, play=LOAD_FAILS))
    assert (again.statuses()["ok"], predicted(again), stale(again)) == ("SUCCESS", {}, {})


def test_a_list_of_items_is_stale_if_its_job_alone_ran_again() -> None:
    found = [{"id": "s", "type": "t", "outputs": {"names": "{{result.names}}"}}]
    plan = plan_of_jobs(
        {"id": "find", "steps": found}, {"id": "load", "for_each": "{{jobs.find.outputs.names}}"}
    )
    first = resumed(plan, play=by_name(find_s=Ending(result={"names": ["x"]})))
    assert plan_resume(plan, fold(first.history), only="find", selected={0}).stale == {"load": ["find"]}


def test_hooks_are_never_stale() -> None:
    plan = plan_of_jobs(
        *REPORT[:1], on_failure=[{"id": "say", "type": "t", "inputs": {"v": "{{jobs.load.status}}"}}]
    )
    assert stale(resumed(plan, resumed(plan, play=LOAD_FAILS))) == {}


def test_on_stale_rerun_makes_the_results_again_in_the_order_of_the_plan() -> None:
    plan = plan_of_jobs(*REPORT, on_stale="rerun")
    first = resumed(plan, play=LOAD_FAILS)
    found = plan_resume(plan, fold(first.history))
    assert found.texts("rerun") == [
        "load.s (FAILED)",
        "collect.s (on_stale: rerun)",
        "mail.s (on_stale: rerun)",
    ]
    assert (found.stale, found.texts("keep")) == ({}, ["free.s (SUCCESS)"])
    again = resumed(plan, first)
    began = [event.job_id for event in again.history[len(first.history) :] if isinstance(event, e.JobStarted)]
    assert began == ["load", "collect", "mail"]
    assert stale(again) == {}


def test_on_stale_rerun_mends_what_an_earlier_resume_had_left() -> None:
    left = resumed(plan_of_jobs(*REPORT), resumed(plan_of_jobs(*REPORT), play=LOAD_FAILS))
    assert stale(left)
    again = resumed(plan_of_jobs(*REPORT, on_stale="rerun"), left)
    assert stale(again) == {}


def test_on_stale_rerun_leaves_what_takes_no_part() -> None:
    plan = plan_of_jobs(*REPORT, on_stale="rerun")
    state = fold(resumed(plan, play=LOAD_FAILS).history)
    both = {"collect": ["load"], "mail": ["collect"]}
    assert plan_resume(plan, state, only="load", selected={0}).stale == both
    assert plan_resume(plan, state, selected={0}).stale == both


def test_on_stale_fail_refuses_before_anything_runs_and_names_the_way_out() -> None:
    plan = plan_of_jobs(*REPORT, on_stale="fail")
    state = fold(resumed(plan, play=LOAD_FAILS).history)
    with pytest.raises(UsageError) as refused:
        plan_resume(plan, state, option="--from")
    assert refused.value.code == "AF869"
    assert refused.value.message.endswith("(on_stale: fail): collect read load; mail read collect")
    assert refused.value.hint == "run them too: --from collect"
    assert plan_resume(plan, state, ["collect"]).stale == {}
    with pytest.raises(UsageError) as refused:
        plan_resume(plan, state, only="load", selected={0})
    assert refused.value.hint == "--only load --with-downstream runs the readers too"


@given(scenario=scenarios(), seed=st.integers(0, 2**32), data=st.data())
def test_nothing_is_stale_at_first_nor_if_readers_run_again(
    scenario: Scenario, seed: int, data: st.DataObject
) -> None:
    flow = msgspec.structs.replace(scenario.plan.flow, on_stale="rerun")
    plan = msgspec.structs.replace(scenario.plan, flow=flow)
    chance = Random(seed)  # noqa: S311 - reproducible
    first = Session(plan, play=scenario.play, limit=scenario.limit)
    first.finish(chance)
    cut = first.history[: data.draw(st.integers(1, len(first.history)))]
    assert stale_results(plan, fold(cut)) == {}
    again = Session(plan, cut, play=scenario.play, limit=scenario.limit)
    assert predicted(again) == {}
    again.finish(chance)
    assert stale(again) == {}
