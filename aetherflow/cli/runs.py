"""`runs list|show`, `logs` and `locks list`: what happened, from the state database."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from aetherflow.app import history
from aetherflow.app.history import RunHistory
from aetherflow.cli.output import print_json, print_text
from aetherflow.errors import UsageError
from aetherflow.observe.output import writing_to
from aetherflow.observe.text import one_line
from aetherflow.store.queries import StepRow

STATUSES = ("RUNNING", "SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED")


def list_runs(
    state: Path | None, flow: Path | None, *, flow_id: str, status: str, limit: int, as_json: bool
) -> None:
    """Print the newest runs, one a line."""
    if status.upper() not in ("", *STATUSES):
        raise UsageError(f"--status {status}: there is no such status", hint=f"one of {', '.join(STATUSES)}")
    rows = history.runs(_path(state, flow), flow_id=flow_id, status=status.upper(), limit=limit)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        reason = f"  {one_line(row.reason)}" if row.reason else ""
        print_text(f"{row.started_at[:19]}Z  {row.status:<11}  {row.run_id:<20}  {row.flow_id}{reason}")
    if not rows:
        print_text("no runs")


def show_run(run_id: str, state: Path | None, flow: Path | None, *, as_json: bool) -> None:
    """Print a run with its jobs, steps and errors."""
    found = history.run_history(_path(state, flow), run_id)
    if as_json:
        print_json(found)
    else:
        _print_history(found)


def show_logs(run_id: str, state: Path | None, flow: Path | None) -> None:
    """Print what the programs of a run wrote, step after step."""
    path = _path(state, flow)
    history.run_history(path, run_id)
    files = history.step_logs(path, run_id)
    if not files:
        raise UsageError(f"no step of run {run_id} wrote a log", hint=f"aetherflow runs show {run_id}")
    for file in files:
        print_text(f"== {file.parent.name}.{file.stem} ({file})")
        with file.open("rb") as log, writing_to(sys.stdout.buffer, "standard output"):
            shutil.copyfileobj(log, sys.stdout.buffer)
            sys.stdout.buffer.write(b"\n")
            sys.stdout.buffer.flush()


def list_locks(state: Path | None, flow: Path | None, *, as_json: bool) -> None:
    """Print the locks that are held."""
    rows = history.locks(_path(state, flow))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_text(f"{row.lock_key}  held by {row.holder} since {row.acquired_at}, until {row.expires_at}")
    if not rows:
        print_text("no locks are held")


def _path(state: Path | None, flow: Path | None) -> Path:
    if state is not None and flow is not None:
        raise UsageError("give --state or --flow-yaml, not both")
    return history.state_of(state, flow, os.environ)


def _print_history(found: RunHistory) -> None:
    run = found.run
    because = f" ({one_line(run.reason)})" if run.reason else ""
    print_text(f"run {run.run_id} of {run.flow_id}: {run.status}{because}")
    print_text(f"  flow file {run.flow_file}, attempt {run.attempt}, {run.owner}")
    print_text(f"  started {run.started_at}, finished {run.finished_at or '-'}")
    for job in found.jobs:
        print_text(f"  {job.status:<9} {job.job_id}{_because(job.reason)}")
        for step in found.steps:
            if step.job_id == job.job_id:
                _print_step(step)


def _print_step(step: StepRow) -> None:
    name = f"{step.step_id} ({step.step_type})"
    print_text(f"    {step.status:<9} {name}, attempt {step.attempt}{_because(step.reason)}")
    if step.error:
        for line in f"{step.error.get('code')}: {step.error.get('message')}".splitlines():
            print_text(f"      {one_line(line)}")


def _because(reason: str | None) -> str:
    return f": {one_line(reason)}" if reason else ""
