"""Make the head of the page: how the run ended, what started it, and the commands for a person on call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from aetherflow.admin.explain_run import explain_whole_run
from aetherflow.admin.run_history import RunFacts
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import short_time
from aetherflow.admin.run_tree import JobNode
from aetherflow.cli_hints import retry_command, show_command
from aetherflow.events.stale_readers import names_to_run
from aetherflow.plan.hooks import is_hook
from aetherflow.store.firings import Cause
from aetherflow.store.run_rows import UNFINISHED
from aetherflow.web.model import Command, Fact, Headline

_CAUSES: Mapping[Cause, str] = {
    "tick": "for the tick",
    "catch_up": "late, for the tick",
    "manual": "fired by hand for",
    "backfill": "backfill of the tick",
    "event": "for an event at",
}


def headline(
    facts: RunFacts,
    nodes: Sequence[JobNode],
    states: tuple[Path, Path | str],
    now: datetime,
    masking: Masking,
) -> Headline:
    """Return the head of the page; `states` are the database, and how commands must name it."""
    history, run = facts.history, facts.history.run
    explained = explain_whole_run(facts)
    sentences = tuple(Fact(short_time(one.at), masking.text(one.sentence)) for one in explained.reasons)
    warnings = []
    if run.status == "RUNNING":
        warnings.append(
            f"The run is still running. The page shows it as it was at {now:%Y-%m-%d %H:%M:%S} UTC; "
            "export it again for what came later."
        )
    if history.interrupted:
        steps = ", ".join(history.interrupted[:5]) + (" …" if len(history.interrupted) > 5 else "")  # noqa: PLR2004 - a sentence
        warnings.append(masking.text(f"The process of the run died while these steps ran: {steps}."))
    if history.bundle is not None and history.bundle.stale:
        warnings.append(masking.text(f"The bundle may be stale: {history.bundle.stale}"))
    jobs = Counter(node.row.status for node in nodes if not is_hook(node.row.job_id))
    return Headline(
        flow_id=run.flow_id,
        run_id=run.run_id,
        status=run.status,
        reason=masking.text(run.reason),
        seconds=run.duration_seconds,
        facts=tuple(_facts(facts, states[0], masking)),
        sentences=sentences,
        warnings=tuple(warnings),
        commands=tuple(_commands(facts, states[1])),
        jobs=dict(jobs),
        steps=dict(Counter(step.status for step in history.steps if not is_hook(step.job_id))),
    )


def _facts(facts: RunFacts, state: Path, masking: Masking) -> list[Fact]:
    history, run = facts.history, facts.history.run
    shown = [_started_by(facts), Fact("Started", short_time(run.started_at))]
    if run.finished_at:
        shown.append(Fact("Finished", short_time(run.finished_at)))
    if run.attempt > 1:
        shown.append(Fact("Executions", str(run.attempt), "the duration is that of the last one"))
    shown.append(Fact("Executed by", masking.text(run.owner), is_code=True))
    shown.append(Fact("Flow file", masking.text(run.flow_file), is_code=True))
    if history.bundle is not None:
        bundle = history.bundle
        shown.append(Fact("Bundle", f"{bundle.id} {bundle.fingerprint[:12]}", bundle.manifest, is_code=True))
    shown.append(Fact("State database", str(state), is_code=True))
    return shown


def _started_by(facts: RunFacts) -> Fact:
    firing = facts.firing
    if firing is not None:
        tick = f"{_CAUSES[firing.cause]} {short_time(firing.scheduled_at)}"
        return Fact("Started by", f"item {firing.item_id} of {firing.scheduler}", tick)
    if facts.served_for:
        return Fact("Started by", "a server", f"for {short_time(facts.served_for)}")
    if facts.is_report:
        return Fact("Started by", "a server", "on_late or notify of its scheduler file")
    return Fact("Started by", "a command")


def _commands(facts: RunFacts, state: Path | str) -> list[Command]:
    history, run = facts.history, facts.history.run
    retry = partial(retry_command, run.run_id, state, history.secrets, executor=history.executor)
    shown_commands = []
    if run.status in UNFINISHED:
        shown_commands.append(Command("resume", retry(history.resume_from)))
    if history.stale:
        shown_commands.append(Command("repeat stale", retry(names_to_run(history.stale))))
    shown_commands.append(Command("in a terminal", show_command(run.run_id, state)))
    return shown_commands
