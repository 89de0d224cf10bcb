"""Which run `aetherflow runs retry` goes on with, and from which flow file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from aetherflow.admin.queries import read_state
from aetherflow.cli_hints import state_option
from aetherflow.errors import UsageError
from aetherflow.events.run_events import BundleUse, RunResumed
from aetherflow.store.queries import beginnings_of, find_run, last_unfinished_run


class Retry(msgspec.Struct, frozen=True):
    """A run to go on with.

    Attributes:
        flow_file: as it was typed when the run was last begun.
        directory: the working directory of that time; empty where the journal does not say.
        flow_job: what `--flow-job` had selected.
        bundle: the bundle that the flow came from, if it did.
    """

    run_id: str
    flow_file: str
    directory: str = ""
    flow_job: str = ""
    bundle: BundleUse | None = None


def find_retry(state: Path, run_id: str, flow_id: str = "") -> Retry:
    """Return the run of that id, or the last one (of a flow, if one is named) that did not end well.

    Raises:
        UsageError: there is no such run.
    """
    found = read_state(state, lambda raw: _find(raw, run_id, flow_id))
    if found is not None:
        return found
    if run_id:
        hint = f"aetherflow runs list {state_option(state)} shows what there is"
        raise UsageError(f"there is no run {run_id!r} in {state}", hint=hint)
    of_flow = f" of the flow {flow_id!r}" if flow_id else ""
    raise UsageError(
        f"no run{of_flow} in {state} is FAILED, CANCELLED or INTERRUPTED",
        hint=f"aetherflow runs list {state_option(state)} shows what there is; name the run to retry "
        "another one",
    )


def _find(raw: sqlite3.Connection, run_id: str, flow_id: str) -> Retry | None:
    run = find_run(raw, run_id) if run_id else last_unfinished_run(raw, flow_id)
    if run is None:
        return None
    begun = beginnings_of(raw, run.run_id)[::-1]
    whole = (event for event in begun if not (isinstance(event, RunResumed) and event.only))
    flow_job = next((event.selected_job for event in whole), "")
    for event in begun:
        if event.flow_file:
            return Retry(run.run_id, event.flow_file, event.directory, flow_job, event.bundle)
    return Retry(run.run_id, run.flow_file, flow_job=flow_job)
