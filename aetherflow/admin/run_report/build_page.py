"""Compose the page about a run from its state database, its logs and its flow file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from aetherflow import __version__
from aetherflow.admin.export_threads import threads
from aetherflow.admin.queries import RetryTarget, StateQueries
from aetherflow.admin.run_history import RunFacts
from aetherflow.admin.run_report import values
from aetherflow.admin.run_report.distinct_failures import Anchors, distinct_failures
from aetherflow.admin.run_report.event_pass import RunPass, pass_over_events
from aetherflow.admin.run_report.event_table import event_table
from aetherflow.admin.run_report.flow_as_it_ran import (
    flow_text,
    known_secrets,
    read_flow_again,
    variables_read,
)
from aetherflow.admin.run_report.graph_nodes import graph_of_run
from aetherflow.admin.run_report.job_entries import Entries, anchors_of
from aetherflow.admin.run_report.log_tails import log_anchors, log_tails
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.run_headline import headline
from aetherflow.admin.run_tree import run_tree
from aetherflow.admin.step_logs import LogFilter, StepLog, step_logs
from aetherflow.cli_hints import logs_command, show_command
from aetherflow.clock import Clock, SystemClock
from aetherflow.run_ids import folder_name
from aetherflow.store.database import Database
from aetherflow.store.filesystem import logs_beside
from aetherflow.web.model import RunPage


async def build_page(
    database: Database,
    run_id: str,
    env: Mapping[str, str],
    named_state: Path | str = "",
    clock: Clock | None = None,
) -> RunPage:
    """Return what the page about a run shows; its commands name the database as `named_state`.

    Raises:
        UsageError: there is no such run.
        StateError: the database cannot be read.
    """
    clock = clock or SystemClock()
    queries = StateQueries(database, clock)
    facts = await queries.run_facts(run_id)
    found = await pass_over_events(database, run_id, clock.now())
    target = await queries.retry_target(run_id)
    logs = await threads.run(lambda: step_logs(queries.step_logs(run_id), LogFilter()))
    compose = partial(composed, facts, found, target, logs, database.path, named_state, env, clock)
    return await threads.run(compose)


def composed(
    facts: RunFacts,
    found: RunPass,
    target: RetryTarget,
    logs: Sequence[StepLog],
    state: Path,
    named_state: Path | str,
    env: Mapping[str, str],
    clock: Clock,
) -> RunPage:
    """Return the page; blocking, as it reads logs and the flow file."""
    history, run = facts.history, facts.history.run
    flow = read_flow_again(target, history.definition, env)
    masking = Masking(known_secrets(flow, env))
    nodes = run_tree(history)
    folder = logs_beside(state) / folder_name(run.run_id)
    shown_logs = log_tails(logs, found.ends, folder, logs_command(run.run_id, named_state), masking)
    anchors = Anchors(anchors_of(nodes), log_anchors(logs, found.ends, shown_logs))
    failures, more = distinct_failures(nodes, target.flow_file, anchors, masking)
    whole = show_command(run.run_id, named_state, everything=True)
    now = clock.now()
    return RunPage(
        headline=headline(facts, nodes, (state, named_state), now, masking),
        failures=failures,
        more_failures=more,
        stale=values.stale(history),
        graph=graph_of_run(nodes, anchors.jobs),
        timeline=Entries(history, found, anchors, masking, whole).timeline(nodes),
        params=values.params(history, masking),
        outputs=values.outputs(nodes, masking),
        marks=values.marks(history, masking),
        events=event_table(found, run.run_id, named_state, masking),
        logs=shown_logs,
        flow=flow_text(flow, target.flow_file, frozenset(one.line for one in failures if one.line), masking),
        variables=variables_read(flow),
        versions=values.versions(found.versions),
        resumes=values.resumes(history, masking),
        written_at=now,
        writer=f"AetherFlow {__version__}",
    )
