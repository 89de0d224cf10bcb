"""The page has a bounded size, whatever the run was, and says what it leaves out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from aetherflow.admin.queries import RetryTarget
from aetherflow.admin.run_history import RunFacts, RunHistory
from aetherflow.admin.run_report.build_page import composed
from aetherflow.admin.run_report.event_pass import EventReader
from aetherflow.admin.run_report.flow_as_it_ran import flow_text, known_secrets, read_flow_again
from aetherflow.admin.run_report.graph_nodes import graph_of_run
from aetherflow.admin.run_report.log_tails import (
    LINE_CHARACTERS,
    TAIL_BYTES,
    TAIL_LINES,
    log_anchors,
    log_tails,
    read_tail,
)
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_tree import JobNode
from aetherflow.admin.step_logs import StepLog
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.redaction import Redactor
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import JobRow, StepRow, WaitRow
from aetherflow.store.run_list import ListedRun
from aetherflow.testing import FakeClock
from aetherflow.web.model import Graph
from aetherflow.web.run_page import run_page
from tests.web.page_reader import PageReader, problems

AT = datetime(2026, 1, 31, 2, tzinfo=UTC)
OPEN = Masking(Redactor(["a-known-secret"]))
MOST_BYTES = 4_000_000


def large_run(instances: int) -> tuple[RunFacts, EventReader]:
    """Return a run of one job with so many instances of two steps; every tenth fails in its own way."""
    reader, now, seq = EventReader(), AT, 0
    ids: Any = {"flow_id": "f", "run_id": "r"}
    plan = [
        PlannedJob(
            id="load", is_mapped=True, line=3, steps=[PlannedStep("a", "t", 5), PlannedStep("b", "t", 6)]
        )
    ]
    jobs = [JobRow("load", "FAILED", timestamp(AT), None, None, None, "some failed")]
    steps: list[StepRow] = []

    def take(event: type[e.Event], **fields: Any) -> None:
        nonlocal now, seq
        now, seq = now + timedelta(milliseconds=10), seq + 1
        reader.take(event(at=now, seq=seq, **ids, **fields))

    take(e.RunStarted, flow_file="flow.yaml", owner="me", plan=plan)
    for number in range(instances):
        job, is_bad = f"load[{number}]", number % 10 == 0
        item, began = f"item {number}", timestamp(now)
        take(e.JobStarted, job_id=job, item=item)
        for step in ("a", "b"):
            fails = is_bad and step == "b"
            error = ErrorInfo("AF732", f"reason {'x' * (number % 97)} of {'ab' * 500}") if fails else None
            status = "FAILED" if fails else "SUCCESS"
            name = {"job_id": job, "step_id": step, "step_type": "t"}
            take(e.StepStarted, **name, version="v 1")
            take(e.StepRetrying, **name, wait_seconds=0.001, error=ErrorInfo("AF732", "again"))
            take(e.StepStarted, **name, attempt=2)
            take(e.StepFinished, **name, attempt=2, status=status, error=error)
            shown = {"code": "AF732", "message": error.message} if error else None
            steps.append(
                StepRow(job, step, "t", status, 2, began, timestamp(now), {"rows": "9" * 900}, shown, None)
            )
        status = "FAILED" if is_bad else "SUCCESS"
        take(e.JobFinished, job_id=job, status=status)
        jobs.append(
            JobRow(job, status, began, timestamp(now), {"n": 1}, None, "b failed" if is_bad else None, item)
        )
    run = ListedRun(
        "r", "f", "flow.yaml", "FAILED", 1, timestamp(AT), timestamp(now), {"p": "v"}, "", "me", 9.0
    )
    return RunFacts(RunHistory(run, jobs, steps, plan=plan)), reader


def test_a_very_large_run_makes_a_page_of_bounded_size(tmp_path: Path) -> None:
    facts, reader = large_run(10_000)
    found = reader.end(AT, is_running=False)
    assert found.total == 100_001

    target = RetryTarget("r", "flow.yaml")
    page = composed(facts, found, target, [], tmp_path, "/s.sqlite", {}, FakeClock(AT))
    shown = "".join(run_page(page))

    assert len(shown.encode()) < MOST_BYTES
    assert problems(shown.replace('href="#L', 'href="#flow" data-line="')) == []
    read = PageReader(shown)
    text = read.text("body")
    assert "1,400 of 100,001 events" in text
    assert "events are left out here" in text
    whole = "`aetherflow runs show r --state /s.sqlite --all` shows them."
    assert f"9,961 more instances: 970 FAILED, 8991 SUCCESS. {whole}" in text
    assert "57 more failures are not shown here." in text
    assert "1,000 FAILED" in " ".join(read.text("header").split())


def test_a_running_step_is_drawn_up_to_now_and_one_of_a_dead_process_to_its_last_event() -> None:
    reader = EventReader()
    ids: Any = {"flow_id": "f", "run_id": "r"}
    name: Any = {"job_id": "j", "step_id": "s", "step_type": "t"}
    reader.take(e.RunStarted(at=AT, flow_file="f", owner="me", **ids))
    reader.take(e.StepStarted(at=AT, **ids, **name))
    reader.take(e.RunResumed(at=AT + timedelta(hours=3), attempt=2, owner="me", **ids))
    reader.take(e.StepStarted(at=AT + timedelta(hours=3), attempt=2, **ids, **name))

    found = reader.end(AT + timedelta(hours=4), is_running=True)

    assert [(span.status, span.end) for span in found.spans["j", "s"]] == [
        ("INTERRUPTED", AT),
        ("RUNNING", AT + timedelta(hours=4)),
    ]
    assert [(one.start, one.end, one.attempt) for one in found.executions] == [
        (AT, AT, 1),
        (AT + timedelta(hours=3), AT + timedelta(hours=4), 2),
    ]
    assert found.ends == {("j", "s", 1): "INTERRUPTED", ("j", "s", 2): "RUNNING"}


def test_a_wait_for_a_lock_and_one_for_a_pool_say_what_they_waited_for(tmp_path: Path) -> None:
    facts, reader = large_run(1)
    since, ended = timestamp(AT), timestamp(AT + timedelta(seconds=2))
    waits = [
        WaitRow("load[0]", "a", "warehouse", 1, 4, since, ended, ["f, run r0, load.a"]),
        WaitRow("load[0]", "a", "", 0, 0, since, ended, ["g, run r1, x.y since 02:00"], lock="ledger"),
        WaitRow("load[0]", "b", "", 0, 0, since, None, lock="till"),
    ]
    facts = replace(facts, history=replace(facts.history, waits=waits))

    found = reader.end(AT, is_running=False)
    page = composed(facts, found, RetryTarget("r", "flow.yaml"), [], tmp_path, "", {}, FakeClock(AT))

    a, b = page.timeline.jobs[0].instances[0].steps
    assert a.notes == (
        "It waited 2.00 s for 1 slot of the pool warehouse (4), held by f, run r0, load.a.",
        "It waited 2.00 s for the lock ledger, held by g, run r1, x.y since 02:00.",
    )
    assert b.notes == ("It waited in vain for the lock till.",)


def job(name: str, *needs: str, status: str = "SUCCESS") -> JobNode:
    plan = PlannedJob(id=name, needs=list(needs), steps=[PlannedStep("s", "t")])
    return JobNode(JobRow(name, status, None, None, None, None, None), plan)


def labels(graph: Graph) -> list[str]:
    return [f"{node.label}: {node.note}" for node in graph.nodes]


def test_a_small_graph_has_each_job() -> None:
    graph = graph_of_run([job("a"), job("b", "a"), job("c", "a", "b")], {"b": "job-1"})

    assert [node.id for node in graph.nodes] == ["a", "b", "c"]
    assert [(edge.source, edge.target) for edge in graph.edges] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert graph.nodes[1].anchor == "job-1"


def test_of_many_jobs_those_that_are_alike_are_one_and_those_that_failed_stay_apart() -> None:
    fan = [job(f"f{n}", "a", status="FAILED" if n == 7 else "SUCCESS") for n in range(300)]
    graph = graph_of_run([job("a"), *fan, job("z", *(one.row.job_id for one in fan))], {})

    assert labels(graph) == [
        "a: SUCCESS, 1 step",
        "f0 … f299: 299 jobs, SUCCESS",
        "f7: FAILED, 1 step",
        "z: SUCCESS, 1 step",
    ]
    assert len(graph.edges) == 4
    assert graph.note.startswith("302 jobs; 299 that are alike")


def test_rows_of_jobs_are_joined_and_then_those_that_are_alike() -> None:
    rows = [
        job(f"r{n}.{place}", "a" if place == 0 else f"r{n}.{place - 1}")
        for n in range(30)
        for place in range(3)
    ]

    assert labels(graph_of_run([job("a"), *rows], {})) == [
        "a: SUCCESS, 1 step",
        "r0.0 … r29.2: 90 jobs, SUCCESS",
    ]


def test_jobs_that_cannot_be_joined_are_not_drawn_and_the_page_says_so() -> None:
    jobs = [job(f"j{n}", *(f"j{m}" for m in range(n) if (n * 7 + m) % 11 == 0)) for n in range(900)]

    graph = graph_of_run(jobs, {})

    assert graph.nodes == ()
    assert graph.note == "900 jobs with too many different dependencies to draw."


def test_only_the_end_of_a_log_of_a_gigabyte_is_read(tmp_path: Path) -> None:
    log = tmp_path / "s.1.log"
    with log.open("wb") as file:
        file.truncate(1_000_000_000)
        file.seek(0, 2)
        file.writelines(b"\nline %d" % number for number in range(300))

    tail = read_tail(log, TAIL_LINES, OPEN)

    assert tail.is_cut
    assert tail.lines == tuple(f"line {number}" for number in range(100, 300))


def test_lines_are_shown_without_control_characters_secrets_and_what_was_overwritten(tmp_path: Path) -> None:
    log = tmp_path / "s.1.log"
    log.write_bytes(b"1%\r50%\r99%\r\n\x1b[31mred\x1b[0m a-known-secret\n\xff\x00\n" + b"x" * 9000)

    tail = read_tail(log, TAIL_LINES, OPEN)

    assert tail.lines[:3] == ("99%", "red ***", "\ufffd\\x00")
    assert tail.lines[3].startswith("x" * LINE_CHARACTERS + " … (7,000 more")
    assert tail.is_cut


def test_of_a_single_very_long_line_its_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "s.1.log"
    with log.open("wb") as file:
        file.truncate(300_000_000)
        file.seek(0, 2)
        file.write(b"y" * TAIL_BYTES)

    (line,) = read_tail(log, TAIL_LINES, OPEN).lines

    assert line.startswith("y" * LINE_CHARACTERS)


def test_logs_of_steps_that_failed_come_first_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    logs = []
    for number in range(200):
        path = tmp_path / f"s{number}.1.log"
        path.write_text("" if number == 3 else f"of {number}\n", encoding="utf-8")
        logs.append(StepLog("j", f"s{number}", 1, path, path.stat().st_size))
    statuses = {("j", "s150", 1): "FAILED"} | {("j", f"s{n}", 1): "SUCCESS" for n in range(150)}

    shown = log_tails(logs, statuses, tmp_path, "aetherflow logs r", OPEN)

    assert [one.where for one in shown.tails[:5]] == ["j.s150", "j.s0", "j.s1", "j.s2", "j.s4"]
    assert [one.is_open for one in shown.tails[:3]] == [True, False, False]
    assert (len(shown.tails), shown.total) == (120, 199)
    assert shown.note.startswith("120 of 199 logs, those of failed steps first.")


def test_the_log_of_a_step_inside_another_has_the_status_of_that_one_and_its_link(tmp_path: Path) -> None:
    path = tmp_path / "swap.copy.1.log"
    path.write_text("broken\n", encoding="utf-8")
    logs = [StepLog("j", "swap.copy", 1, path, path.stat().st_size)]
    statuses = {("j", "swap", 1): "FAILED"}

    shown = log_tails(logs, statuses, tmp_path, "", OPEN)

    assert [(one.where, one.status, one.is_open) for one in shown.tails] == [("j.swap.copy", "FAILED", True)]
    assert log_anchors(logs, statuses, shown) == {("j", "swap"): shown.tails[0].anchor}


def test_a_log_that_cannot_be_read_is_said_to(tmp_path: Path) -> None:
    gone = StepLog("j", "s", 1, tmp_path / "gone", 5)

    (tail,) = log_tails([gone], {}, tmp_path, "", OPEN).tails

    assert tail.lines == ("it cannot be read: No such file or directory",)


def small_run(status: str, **more: Any) -> str:
    """Return the page of a run with one job and a hook that began when it had ended."""
    ends = [timestamp(AT + timedelta(seconds=seconds)) for seconds in (0, 5, 6)]
    jobs = [
        JobRow("load", "SUCCESS", ends[0], ends[1], None, None, None),
        JobRow("@on_exit", "SUCCESS", ends[1], ends[2], None, None, None),
    ]
    steps = [StepRow("load", "s", "t", "SUCCESS", 1, ends[0], ends[1], None, None, None)]
    run = ListedRun("r", "f", "flow.yaml", status, 1, ends[0], ends[2], {}, "", "me", 6.0)
    plan = [
        PlannedJob(id="load", steps=[PlannedStep("s", "t")]),
        PlannedJob(id="@on_exit", steps=[PlannedStep("h", "t")]),
    ]
    reader = EventReader()
    reader.take(e.RunStarted(at=AT, flow_file="f", owner="me", flow_id="f", run_id="r", seq=1))
    found = reader.end(AT + timedelta(seconds=6), is_running=False)
    facts = RunFacts(RunHistory(run, jobs, steps, plan=plan, **more))
    target = RetryTarget("r", "flow.yaml", "/nowhere")
    return "".join(run_page(composed(facts, found, target, [], Path("/s.sqlite"), "", {}, FakeClock(AT))))


def test_a_hook_stands_beside_the_jobs_and_waits_for_no_place() -> None:
    read = PageReader(small_run("SUCCESS"))

    assert "waited" not in read.text("main")
    assert read.text("text").index("load") < read.text("text").index("@on_exit")
    assert "The flow file cannot be read now" in read.text("main")


def test_a_secret_block_of_the_flow_is_masked_and_the_lines_keep_their_numbers(tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(
        "version: 1\nflow: {id: f}\nresources:\n  host:\n    kind: file\n    driver: local\n    config:\n"
        "      private_key: |\n        -----BEGIN KEY-----\n        c2VjcmV0LWtleS1vZi1hbm4\n\n        q7==\n"
        "      root: .\n      token: 'one-line-token\n        and-more'\n"
        "jobs: [{id: j, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}]\n",
        encoding="utf-8",
    )
    read = read_flow_again(RetryTarget("r", "flow.yaml", str(tmp_path)), "", {})

    shown = flow_text(read, "flow.yaml", frozenset(), Masking(known_secrets(read, {})))

    assert shown.lines[7:16] == (
        "      private_key: |",
        "        ***",
        "        ***",
        "",
        "        ***",
        "      root: .",
        "      token: '***",
        "        ***",
        "jobs: [{id: j, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}]",
    )


def test_stale_results_come_with_the_command_that_repeats_them() -> None:
    shown = small_run("SUCCESS", stale={"collect/read": ["load"]})
    read = PageReader(shown)

    assert problems(shown) == []
    assert "Stale results" in read.text("h2")
    assert "collect.readload" in read.text("tbody")
    assert "aetherflow runs retry r --from collect.read" in read.text("header")


def test_a_run_that_failed_has_the_command_that_resumes_it_with_what_must_run_again() -> None:
    read = PageReader(small_run("FAILED", resume_from=["load"]))

    assert "aetherflow runs retry r --from load" in read.text("header")
