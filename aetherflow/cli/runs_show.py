"""`aetherflow runs show`: a run as a tree of jobs and steps, with durations, waits, outputs and errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from aetherflow.admin.error_words import error_line, error_text
from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.run_tree import JobNode, StepNode, run_tree
from aetherflow.admin.wait_words import place_words, refused_words, wait_words
from aetherflow.cli import completers
from aetherflow.cli.options import Json, NamedRun
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.resume_words import resume_lines
from aetherflow.cli.runs_list import fired_by
from aetherflow.cli.state_access import FlowOfState, State, ask_state, history_path, named_state, say_no_runs
from aetherflow.cli_hints import retry_command
from aetherflow.engine.transitions import INTERRUPTED
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.stale_readers import names_to_run, stale_text
from aetherflow.observe.event_text import counts, duration, one_line, shortened
from aetherflow.sdk.effects import NOT_DONE
from aetherflow.store.queries import AttemptRow, EffectRow
from aetherflow.store.run_list import ListedRun
from aetherflow.store.stored_times import seconds_between

EFFECTS_SHOWN = 10
"""How many confirmed effects of a step are printed; --json has all of them."""
MOST_INSTANCES = 12
"""A mapped job with more instances is folded, without --all."""
MOST_JOBS = 200
"""The jobs of a run with more are folded, without --all."""
NOTABLE_INSTANCES = 5
NOTABLE_JOBS = 50
WAIT_SECONDS = 1.0
"""From this time on, a wait for a free place is worth a word."""
WIDTH = 80
QUIET = ("SUCCESS", "SKIPPED", "PENDING")


def show_run(
    run: NamedRun = "",
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every instance of a for_each, and the outputs of steps.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a run with its jobs, steps and errors. --all also shows the instances that ended well."""
    path = history_path(state, flow_yaml, run)
    found = None if path is None else ask_state(path, lambda ask: ask.find_history(run))
    if json:
        print_report("runs.show", found or {"run": None, "jobs": [], "steps": []})
    elif found is None or path is None:
        say_no_runs(flow_yaml)
    else:
        for line in _lines(found, path, everything=everything):
            print_text(line)


def _lines(found: RunHistory, path: Path, *, everything: bool) -> Iterator[str]:
    yield from _head(found, path)
    for resume in found.resumes:
        yield from resume_lines(resume, everything=everything)
    nodes = run_tree(found)
    shown = nodes if everything else _folded(nodes, MOST_JOBS, NOTABLE_JOBS)
    for node in shown:
        yield from _job(node, found.run.flow_file, everything=everything)
    if hidden := _hidden(nodes, shown, "jobs"):
        yield f"  {hidden}"


def _folded(nodes: Sequence[JobNode], most: int, notable: int) -> Sequence[JobNode]:
    """Return the nodes to show: all of a few, and of many the first that are not in order."""
    if len(nodes) <= most:
        return nodes
    return [node for node in nodes if node.row.status not in QUIET][:notable]


def _hidden(nodes: Sequence[JobNode], shown: Sequence[JobNode], what: str) -> str:
    """Return in words which nodes are not shown; empty if none."""
    left = Counter(node.row.status for node in nodes) - Counter(node.row.status for node in shown)
    if not left:
        return ""
    more = "more " if shown else ""
    return f"... {sum(left.values())} {more}{what}: {counts(left)}; --all shows them"


def _head(found: RunHistory, path: Path) -> Iterator[str]:
    run = found.run
    because = f" ({one_line(run.reason)})" if run.reason else ""
    yield f"run {run.run_id} of {run.flow_id}: {run.status}{because}"
    yield f"  flow file {one_line(run.flow_file)}, attempt {run.attempt}, {run.owner}"
    if run.fired_by is not None:
        yield f"  fired by {one_line(fired_by(run.fired_by))}"
    if found.bundle is not None:
        yield _bundle(found.bundle)
    yield f"  started {run.started_at}, finished {run.finished_at or '-'}{_run_took(run)}"
    if run.params:
        yield f"  params {one_line(_json(run.params))}"
    if found.interrupted:
        yield f"  interrupted: {', '.join(found.interrupted)}"
    if run.status in completers.UNFINISHED:
        command = _resume_command(found, path, found.resume_from)
        yield f"  resume: {one_line(command)}"
    if found.stale:
        yield f"  stale: {one_line(stale_text(found.stale))}"
        command = _resume_command(found, path, names_to_run(found.stale))
        yield f"  repeat: {one_line(command)}"


def _resume_command(found: RunHistory, path: Path, begin_at: Iterable[str]) -> str:
    run_id, state = found.run.run_id, named_state(path)
    return retry_command(run_id, state, found.secrets, begin_at, executor=found.executor)


def _run_took(run: ListedRun) -> str:
    """Return how long the last execution of a run took, or has taken until now."""
    if run.duration_seconds is None:
        return ""
    if run.status == INTERRUPTED:  # when its process died is not known
        return f", the last event after {duration(run.duration_seconds)}"
    so_far = "" if run.finished_at else " so far"
    resumed = " since it was resumed" if run.attempt > 1 else ""
    return f", took {duration(run.duration_seconds)}{so_far}{resumed}"


def _bundle(bundle: BundleUse) -> str:
    stale = f"; it may be stale: {one_line(bundle.stale)}" if bundle.stale else ""
    name = f"bundle {bundle.id} {bundle.fingerprint[:12]}, {bundle.flow}"
    return f"  {name}, by {one_line(bundle.manifest)}{stale}"


def _job(node: JobNode, file: str, *, everything: bool, indent: str = "  ") -> Iterator[str]:
    row = node.row
    item = f" ({one_line(row.item)})" if row.item else ""
    facts = _took(row.started_at, row.finished_at)
    if node.waited_seconds >= WAIT_SECONDS:
        facts.append(f"waited {duration(node.waited_seconds)} for a free place")
    if node.instances:
        facts.append(f"{len(node.instances)} instance{'' if len(node.instances) == 1 else 's'}")
    if row.error and not row.reason:
        facts += _place(file, node.plan.line)
    yield f"{indent}{row.status:<9} {row.job_id}{item}{_facts(facts)}{_because(row.reason)}"
    if row.error and not row.reason:  # else the error is shown with its step or instance
        yield from _indented(_error_lines(row.error), f"{indent}  ")
    if row.outputs and not node.instances:
        yield f"{indent}  {_short('outputs', row.outputs, indent)}"
    for step in node.steps:
        yield from _step(step, file, everything=everything, indent=f"{indent}  ")
    shown = node.instances if everything else _folded(node.instances, MOST_INSTANCES, NOTABLE_INSTANCES)
    for instance in shown:
        yield from _job(instance, file, everything=everything, indent=f"{indent}  ")
    if hidden := _hidden(node.instances, shown, "instances"):
        yield f"{indent}  {hidden}"


def _step(node: StepNode, file: str, *, everything: bool, indent: str) -> Iterator[str]:
    row = node.row
    why, *more = (row.reason or "").splitlines() or [""]
    facts = _took(row.started_at, row.finished_at)
    if row.attempt > 1:
        facts.append(f"attempt {row.attempt}")
    if node.awaits_worker and node.place:
        facts.append(f"waits for {one_line(place_words(node.place))}")
    elif node.place and node.place.begun_at:
        facts.append(one_line(place_words(node.place)))
    if row.error:
        facts += _place(file, node.line)
        more += _error_lines(row.error)
    yield f"{indent}{row.status:<9} {row.step_id} ({row.step_type}){_facts(facts)}{_because(why)}"
    inner = f"{indent}  "
    yield from _indented(more, inner)
    for wait in node.waits:
        # A wait for slots that goes on is the reason above; one for a lock that failed is the error.
        if wait.ended_at or (wait not in node.waits_for if wait.pool else row.status == "RUNNING"):
            yield f"{inner}{one_line(wait_words(wait, goes_on=wait in node.waits_for))}"
    for attempt in node.retries:
        yield f"{inner}{_retry(attempt)}"
    yield from _indented(map(refused_words, node.refused), inner)
    for mark, use in row.marks.items():
        yield f"{inner}mark {one_line(mark)}: {one_line(str(use))}"
    if everything and row.outputs:
        yield f"{inner}{_short('outputs', row.outputs, inner)}"
    yield from _indented(_effect_lines(node.effects), inner)


def _took(start: str | None, end: str | None) -> list[str]:
    seconds = seconds_between(start, end)
    return [] if seconds is None else [duration(seconds)]


def _place(file: str, line: int) -> list[str]:
    return [f"{one_line(file)}:{line}"] if line else []


def _facts(facts: list[str]) -> str:
    return f"  {', '.join(facts)}" if facts else ""


def _because(reason: str | None) -> str:
    return f": {one_line(reason)}" if reason else ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _short(name: str, value: dict[str, Any], indent: str) -> str:
    """Return values as JSON, cut at the width of the text."""
    return shortened(one_line(f"{name} {_json(value)}"), WIDTH - len(indent) - 2)


def _error_lines(error: dict[str, Any]) -> list[str]:
    """Return the lines of an error, its hint the last of them."""
    hint = [f"hint: {error['hint']}"] if error.get("hint") else []
    return [*error_text(error).splitlines(), *hint]


def _indented(lines: Iterable[str], indent: str) -> Iterator[str]:
    return (f"{indent}{one_line(line)}" for line in lines)


def _retry(attempt: AttemptRow) -> str:
    """Return an attempt that was repeated: what was waited, and why."""
    why = one_line(error_line(attempt.error))
    return (
        f"attempt {attempt.attempt} failed at {attempt.failed_at[:19]}Z; "
        f"the next waited {attempt.wait_seconds:g} s: {why}"
    )


def _effect_lines(effects: list[EffectRow]) -> list[str]:
    """Return what a step changed outside: what is not confirmed may have happened, or not."""
    lines, done = [], []
    for effect in effects:
        reason = effect.result.get(NOT_DONE)
        if effect.confirmed_at is None:
            lines.append(f"not confirmed, intended {effect.intended_at}: {effect.key}")
        elif reason:
            lines.append(f"not done: {effect.key}: {reason}")
        else:
            done.append(effect.key)
    lines += [f"done: {key}" for key in done[:EFFECTS_SHOWN]]
    if len(done) > EFFECTS_SHOWN:
        lines.append(f"and {len(done) - EFFECTS_SHOWN} more")
    return lines
