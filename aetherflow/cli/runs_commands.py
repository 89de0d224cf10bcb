"""`aetherflow runs list|show`: list the runs of a state database, and show one in detail."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from aetherflow.admin.queries import RunHistory
from aetherflow.cli import completers
from aetherflow.cli.options import Json, RunId
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, state_path
from aetherflow.cli_hints import retry_command
from aetherflow.errors import UsageError
from aetherflow.events.run_events import BundleUse, RunResumed
from aetherflow.observe.event_text import one_line
from aetherflow.sdk.effects import NOT_DONE
from aetherflow.store.projection import timestamp
from aetherflow.store.queries import AttemptRow, EffectRow, StepRow

R = TypeVar("R", StepRow, AttemptRow, EffectRow)

_KINDS = {
    "keep": "kept",
    "rerun": "runs again",
    "end_interrupted": "does not run again",
    "changed": "kept although the flow defines it differently now",
    "never_run": "not run, its job had already ended",
    "upgraded": "kept although the version of its step type has changed",
    "exclude": "not run",
    "remove": "no longer in the flow",
}
EFFECTS_SHOWN = 10
"""How many confirmed effects of a step are printed; --json has all of them."""

STATUSES = ("RUNNING", "SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED")


def list_runs(
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    flow: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Only runs of the flow with this id.", autocompletion=completers.flow_ids
        ),
    ] = "",
    status: Annotated[
        str,
        typer.Option(
            metavar="STATUS", help="Only runs with this status.", autocompletion=completers.statuses
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="Show at most N runs, the newest first.")
    ] = 20,
    json: Json = False,
) -> None:
    """List the newest runs."""
    if status.upper() not in ("", *STATUSES):
        raise UsageError(f"--status {status}: there is no such status", hint=f"one of {', '.join(STATUSES)}")
    rows = ask_state(
        state_path(state, flow_yaml), lambda ask: ask.runs(flow_id=flow, status=status.upper(), limit=limit)
    )
    if json:
        print_report("runs.list", {"runs": rows})
        return
    if not rows:
        print_text("no runs")
        return
    width = max(len(row.run_id) for row in rows)
    print_text(f"{'STARTED':<20}  {'STATUS':<11}  {'RUN':<{width}}  FLOW")
    for row in rows:
        reason = f"  {one_line(row.reason)}" if row.reason else ""
        print_text(f"{row.started_at[:19]}Z  {row.status:<11}  {row.run_id:<{width}}  {row.flow_id}{reason}")


def show_run(run: RunId, *, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """Show a run with its jobs, steps and errors."""
    path = state_path(state, flow_yaml)
    found = ask_state(path, lambda ask: ask.run_history(run))
    if json:
        print_report("runs.show", found)
    else:
        _print_history(found, path)


def _print_history(found: RunHistory, path: Path) -> None:
    _print_run(found, path)
    for resume in found.resumes:
        _print_resume(resume)
    steps, retries, effects = _by_job(found.steps), _by_job(found.retries), _by_job(found.effects)
    for job in found.jobs:
        item = f" ({one_line(job.item)})" if job.item else ""
        print_text(f"  {job.status:<9} {job.job_id}{item}{_because(job.reason)}")
        if job.error and not job.reason:  # else the error is shown with its step or instance
            _print_lines(_error_lines(job.error), "    ")
        for step in steps.get(job.job_id, ()):
            _print_step(step)
            for attempt in retries.get(job.job_id, ()):
                if attempt.step_id == step.step_id:
                    _print_retry(attempt)
            _print_effects([one for one in effects.get(job.job_id, ()) if one.step_id == step.step_id])


def _print_run(found: RunHistory, path: Path) -> None:
    run = found.run
    because = f" ({one_line(run.reason)})" if run.reason else ""
    print_text(f"run {run.run_id} of {run.flow_id}: {run.status}{because}")
    print_text(f"  flow file {run.flow_file}, attempt {run.attempt}, {run.owner}")
    if found.bundle is not None:
        _print_bundle(found.bundle)
    print_text(f"  started {run.started_at}, finished {run.finished_at or '-'}")
    if run.params:
        print_text(f"  params {one_line(msgspec.json.encode(run.params).decode())}")
    if found.interrupted:
        print_text(f"  interrupted: {', '.join(found.interrupted)}")
    if run.status in completers.UNFINISHED:
        print_text(f"  resume: {one_line(retry_command(run.run_id, path, found.secrets))}")


def _print_effects(effects: list[EffectRow]) -> None:
    """Print what a step changed outside: what is not confirmed may have happened, or not."""
    done = []
    for effect in effects:
        key, reason = one_line(effect.key), effect.result.get(NOT_DONE)
        if effect.confirmed_at is None:
            print_text(f"      not confirmed, intended {effect.intended_at}: {key}")
        elif reason:
            print_text(f"      not done: {key}: {one_line(str(reason))}")
        else:
            done.append(key)
    for key in done[:EFFECTS_SHOWN]:
        print_text(f"      done: {key}")
    if len(done) > EFFECTS_SHOWN:
        print_text(f"      and {len(done) - EFFECTS_SHOWN} more")


def _print_bundle(bundle: BundleUse) -> None:
    stale = f"; it may be stale: {one_line(bundle.stale)}" if bundle.stale else ""
    manifest = one_line(bundle.manifest)
    print_text(f"  bundle {bundle.id} {bundle.fingerprint[:12]}, {bundle.flow}, by {manifest}{stale}")


def _by_job(rows: Iterable[R]) -> dict[str, list[R]]:
    """Return the rows of steps or attempts by their job, in order."""
    found: dict[str, list[R]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append(row)
    return found


def _print_resume(resume: RunResumed) -> None:
    """Print what a resume decided for each step, and why."""
    at = timestamp(resume.at)
    print_text(f"  resumed {at} (attempt {resume.attempt}) by {resume.owner}")
    for kind, entries in resume.decisions.items():
        more = resume.decision_counts.get(kind, len(entries)) - len(entries)
        shown = ", ".join(map(one_line, entries))
        print_text(f"    {_KINDS.get(kind, kind)}: {shown}{f' and {more} more' if more > 0 else ''}")


def _print_step(step: StepRow) -> None:
    name = f"{step.step_id} ({step.step_type})"
    why, *more = (step.reason or "").splitlines() or [""]
    print_text(f"    {step.status:<9} {name}, attempt {step.attempt}{_because(why)}")
    if step.error:
        more += _error_lines(step.error)
    _print_lines(more, "      ")
    for mark, use in step.marks.items():
        print_text(f"      mark {one_line(mark)}: {one_line(str(use))}")


def _error_lines(error: dict[str, Any]) -> list[str]:
    """Return the lines of an error, its hint the last of them."""
    hint = [f"hint: {error['hint']}"] if error.get("hint") else []
    return [*f"{error.get('code')}: {error.get('message')}".splitlines(), *hint]


def _print_lines(lines: Iterable[str], indent: str) -> None:
    for line in lines:
        print_text(f"{indent}{one_line(line)}")


def _print_retry(attempt: AttemptRow) -> None:
    """Print an attempt that was repeated: what was waited, and why."""
    why = one_line(f"{attempt.error.get('code')}: {attempt.error.get('message')}".partition("\n")[0])
    print_text(
        f"      attempt {attempt.attempt} failed at {attempt.failed_at[:19]}Z; "
        f"the next waited {attempt.wait_seconds:g} s: {why}"
    )


def _because(reason: str | None) -> str:
    return f": {one_line(reason)}" if reason else ""
