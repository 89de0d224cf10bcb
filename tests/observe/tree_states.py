"""Runs in the middle of their work, as events, and what the live tree shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from aetherflow.errors import ErrorInfo
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.events.run_events import (
    Event,
    HooksStarted,
    JobFinished,
    JobStarted,
    LockAwaited,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.observe.run_tree import RunTree
from aetherflow.observe.tree_frame import frame
from aetherflow.ports import UsualTimes
from tests.observe.demo_run import AT

BOOM = ErrorInfo(code="AF700", message="no such table: sales", hint="create it first")
EXIT = ErrorInfo(code="AF732", message="copy: exit code 3", kind="exit_code", detail={"exit_code": 3})


def run(seconds: float = 0) -> dict[str, Any]:
    """Return the fields of an event of the run, so many seconds after its start."""
    return {"at": AT + timedelta(seconds=seconds), "flow_id": "nightly", "run_id": "r1"}


def step(name: str, seconds: float = 0, kind: str = "external.process") -> dict[str, Any]:
    """Return the fields of an event of the step `job.step`."""
    job_id, _, step_id = name.rpartition(".")
    return {**run(seconds), "job_id": job_id, "step_id": step_id, "step_type": kind}


def job(job_id: str, seconds: float = 0, **fields: Any) -> Event:
    """Return the start of a job."""
    return JobStarted(**run(seconds), job_id=job_id, **fields)


def began(name: str, seconds: float = 0, kind: str = "external.process", **fields: Any) -> list[Event]:
    """Return the start of a job and of its step `job.step`."""
    job_id = name.rpartition(".")[0]
    return [job(job_id, seconds, **fields), StepStarted(**step(name, seconds, kind))]


def ended(name: str, seconds: float, status: Any = "SUCCESS", **fields: Any) -> list[Event]:
    """Return the end of a step that took a second, and of its job."""
    job_id = name.rpartition(".")[0]
    why: dict[str, Any] = {"reason": "a step failed"} if status == "FAILED" else {}
    return [
        StepFinished(**step(name, seconds), status=status, duration_seconds=1, **fields),
        JobFinished(**run(seconds), job_id=job_id, status=status, **why),
    ]


def started(jobs: Iterable[str] | Mapping[str, list[str]], *, of_steps: int = 1, **fields: Any) -> RunStarted:
    """Return the start of a run of these jobs, which wait for those that are named with them."""
    needs = jobs if isinstance(jobs, Mapping) else {id_: [] for id_ in jobs}
    steps = [PlannedStep(id=f"s{number}", type="t") for number in range(of_steps)]
    plan = [PlannedJob(id=id_, steps=steps, needs=needs[id_]) for id_ in needs]
    return RunStarted(**run(), flow_file="nightly.yaml", owner="host:1", plan=plan, **fields)


def fan() -> list[Event]:
    """Return a mapped job of which 283 of 300 instances have ended, 28 of them badly."""
    flow = started({"prepare": [], "load": ["prepare"], "report": ["load"]})
    events = [flow, *began("prepare.s"), *ended("prepare.s", 2)]
    events.append(job("load", 2, items=list(range(300))))
    for number in range(283):
        name = f"load[{number}].copy"
        events += began(name, 2, item=f"customer-{number}")
        if number < 28:
            said = StepOutput(**step(name, 3), stream="stderr", text=f"no such table: customer-{number}\n")
            events += [said, *ended(name, 3, "FAILED", error=EXIT)]
        else:
            events += ended(name, 3)
    for number in range(283, 295):
        events += began(f"load[{number}].copy", 60, item=f"customer-{number}")
    for number in range(295, 300):
        events.append(job(f"load[{number}]", 61, item=f"customer-{number}"))
        wait: dict[str, Any] = {"pool": "warehouse", "slots": 1, "size": 12, "ahead": number - 295}
        held = ["nightly, run r1, load[283].copy", "monthly, run m7, export.pull"]
        events.append(StepWaiting(**step(f"load[{number}].copy", 61), **wait, held_by=held))
    return events


def work() -> list[Event]:
    """Return a transfer, a query, a program that writes lines, one of several steps, and two that wait."""
    flow = started(["send", "extract", "copy", "check", "publish", "probe", "gate"], of_steps=1)
    events: list[Event] = [flow]
    fields: dict[str, Any]
    events += began("send.upload", 1, "sftp_upload_files")
    for second in range(10):
        done, note = 8e7 * second + 4e8, "sales.parquet"
        fields = {"done": done, "total": 4e9, "unit": "bytes", "note": note}
        events.append(StepProgress(**step("send.upload", 2 + second), **fields))
    events += began("extract.query", 1, "db_extract_stream")
    for second in range(10):
        fields = {"done": 80_000 * second, "unit": "rows"}
        events.append(StepProgress(**step("extract.query", 2 + second), **fields))
    events += began("copy.run", 2)
    events.append(StepOutput(**step("copy.run", 3), stream="stdout", text="\x1b[32mcopying\x1b[0m 41 %\r\n"))
    events += began("check.probe", 1)
    events.append(StepOutput(**step("check.probe", 2), stream="stderr", text="connection refused"))
    retry: dict[str, Any] = {"attempt": 1, "wait_seconds": 30, "max_attempts": 3, "error": EXIT}
    events.append(StepRetrying(**step("check.probe", 5), **retry))
    events += began("publish.swap", 3, "with_lock")
    held: dict[str, Any] = {
        "lock": "warehouse",
        "held_by": "monthly, run m7, export.swap",
        "wait_seconds": 60,
    }
    events.append(LockAwaited(**step("publish.swap", 3), **held))
    events.append(JobFinished(**run(1), job_id="gate", status="SKIPPED", reason="when is false"))
    return events


def hooks() -> list[Event]:
    """Return a run that failed and whose hooks run now."""
    flow = started({"extract": [], "load": ["extract"], "report": ["load"]}, of_steps=2)
    begin = [flow, job("extract"), StepStarted(**step("extract.pull"))]
    begin += [StepFinished(**step("extract.pull", 2), status="SUCCESS", duration_seconds=2)]
    begin += [StepStarted(**step("extract.check", 2)), *ended("extract.check", 4, "FAILED", error=BOOM)]
    blocked = [JobFinished(**run(4), job_id=id_, status="BLOCKED", reason="x") for id_ in ("load", "report")]
    return [*begin, *blocked, HooksStarted(**run(4), status="FAILED"), *began("@on_failure.tell", 4)]


def many() -> list[Event]:
    """Return a run of 10,000 jobs of which 6,000 have ended."""
    events: list[Event] = [started([f"job{number}" for number in range(10_000)])]
    for number in range(6000):
        events += began(f"job{number}.s", 1)
        events += ended(f"job{number}.s", 2, "FAILED" if number % 1000 == 0 else "SUCCESS")
    for number in range(6000, 6008):
        events += began(f"job{number}.s", 2)
    return events


def wide() -> list[Event]:
    """Return jobs with long names and wide characters."""
    long = "a_job_with_a_name_that_is_longer_than_many_a_terminal_is_wide_2026"
    events: list[Event] = [started(["日本語の仕事", long]), *began("日本語の仕事.実行"), *began(f"{long}.s")]
    events.append(
        StepOutput(**step("日本語の仕事.実行", 1), stream="stdout", text="テーブルを読み込んでいます" * 9)
    )
    return events


def resumed() -> list[Event]:
    """Return a resume: one job and 272 of 300 instances of another had ended before."""
    flow = started(["prepare", "load", "report"])
    again = RunResumed(**run(), attempt=2, owner="host:1", flow_file="nightly.yaml", plan=flow.plan)
    kept = RunPersisted(**run(), state="/s", kept_jobs=["prepare"], kept_instances={"load": 272})
    events: list[Event] = [again, kept, job("load", items=list(range(300)))]
    for number in range(272, 283):
        events += began(f"load[{number}].copy", 1)
        if number < 278:
            events += ended(f"load[{number}].copy", 2)
    return events


def readme() -> list[Event]:
    """Return the run that the README shows."""
    flow = started({"fetch": [], "load": ["fetch"], "report": ["load"]}, of_steps=1)
    events: list[Event] = [flow, *began("fetch.orders"), *ended("fetch.orders", 2)]
    events.append(job("load", 2, items=["orders", "customers", "stock", "prices"]))
    for number, item in enumerate(["orders", "customers", "stock", "prices"]):
        events += began(f"load[{number}].copy", 2, item=item)
    error = ErrorInfo(code="AF732", message="x", kind="exit_code", detail={"exit_code": 3})
    said = StepOutput(**step("load[1].copy", 2), stream="stderr", text="column zip: too long")
    events += [said, *ended("load[1].copy", 3, "FAILED", error=error), *ended("load[0].copy", 3)]
    events.append(StepOutput(**step("load[2].copy", 3), stream="stdout", text="41,000 rows"))
    wait: dict[str, Any] = {"pool": "warehouse", "slots": 1, "size": 3}
    held = ["nightly, run r1, load[2].copy"]
    events.append(StepWaiting(**step("load[3].copy", 2), **wait, held_by=held))
    return events


STATES: Mapping[str, tuple[list[Event], float]] = {
    "instances": (fan(), 75),
    "work": (work(), 13),
    "hooks": (hooks(), 5),
    "many": (many(), 3),
    "wide": (wide(), 5),
    "resumed": (resumed(), 6),
    "readme": (readme(), 3),
}
"""Events, and how many seconds after the start of the run the picture is taken."""

EXPECTED = UsualTimes(run=240, jobs={"copy": 14, "extract": 5}, steps={"extract.check": 2})

SIZES = ((40, 10), (80, 24), (200, 50))
"""Columns and lines of the pictures."""


def tree_of(events: Iterable[Event]) -> RunTree:
    """Return the tree that these events make."""
    tree = RunTree()
    for event in events:
        tree.apply(event)
    return tree


def lines(tree: RunTree, *, after: float, height: int = 23, width: int = 79) -> list[str]:
    """Return the text of the lines of a picture."""
    return [line.text for line in frame(tree, AT + timedelta(seconds=after), height, width)]
