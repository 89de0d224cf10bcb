"""Resolve a run request: its parameters, its state database, and the jobs that take part."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.clock import Clock
from aetherflow.config.param_values import Reading
from aetherflow.config.params import read_params, require_params
from aetherflow.language.dates import day_in
from aetherflow.language.template import compile_template
from aetherflow.runs.adoption import refuse_begun_before
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import resolve_run_paths, state_path
from aetherflow.runs.run_request import RunRequest, selected_jobs
from aetherflow.runs.usual_state import is_usual_state
from aetherflow.store.filesystem import is_missing
from aetherflow.store.old_database import beside_old, old_beside
from aetherflow.written_path import folder_of


class ResolvedRun(msgspec.Struct, frozen=True, eq=False):
    """A request resolved for its flow; no database or file is open yet.

    Attributes:
        run_id: the one of the request, or a new one.
        params: a value for every declared parameter, from the request and the defaults; a required one may be
            missing if the run may be in the database, which then knows it.
        state: the state database.
        day: the date for which the parameters were read: that of the scheduled time, else today.
        selected: the numbers of the jobs that take part; None means all.
        adopts: the database of AetherFlow 0.0 that the state database will be made beside.
    """

    checked: CheckedFlow
    request: RunRequest
    run_id: str
    params: dict[str, Any]
    state: Path
    day: date
    selected: set[int] | None
    adopts: Path | None = None

    @property
    def is_usual_state(self) -> bool:
        """Whether commands find the database unnamed; that of a server may be another user's."""
        if self.request.origin:
            return False
        return is_usual_state(self.state, self.checked.environment, os.environ)

    @property
    def named_state(self) -> Path | str:
        """The database that commands about the run must name; empty if they find it."""
        return "" if self.is_usual_state else self.state

    def params_on(self, day: date) -> dict[str, Any]:
        """Return the parameters for another date: `yesterday` is another day then.

        Raises:
            UsageError: they do not fit the flow.
        """
        if day == self.day:
            return self.params
        reading = _reading(self.checked, self.request, day)
        return read_params(self.checked.plan.flow.params, self.request.params, reading=reading, require=False)


def resolve_run(checked: CheckedFlow, request: RunRequest, clock: Clock) -> ResolvedRun:
    """Resolve a request; an impossible one is refused here, before a database is created for it.

    The clock gives the date of a run that is not scheduled, and a run id.

    Raises:
        UsageError: the parameters do not fit the flow, or it does not have the job that was named.
        ConfigError: a path names a variable that is not set, or leads where the mode forbids it.
    """
    flow = checked.plan.flow
    may_be_stored = request.state is not None or bool(
        request.run_id and not _names_params(flow.state.path or "")
    )
    day = day_in(request.scheduled_at or clock.now(), flow.timezone or request.timezone)
    reading = _reading(checked, request, day)
    params = read_params(flow.params, request.params, reading=reading, require=not may_be_stored)
    state = beside_old(request.state) if request.state else state_path(checked, params)
    if request.state is None and (not request.run_id or is_missing(state)):
        require_params(flow.params, params)
        resolve_run_paths(checked, params, state)
    adopts = old_beside(state) if is_missing(state) else None
    if adopts and request.run_id:
        refuse_begun_before(request.run_id, state)  # else when the run is claimed, if it is unknown
    selected = selected_jobs(checked.plan, request)
    run_id = request.run_id or clock.new_id()
    return ResolvedRun(checked, request, run_id, params, state, day, selected, adopts)


def _reading(checked: CheckedFlow, request: RunRequest, day: date) -> Reading:
    return Reading(day, request.params_folder, folder_of(Path(checked.plan.file)))


def _names_params(template: str) -> bool:
    return any(reference.path[0] == "params" for reference in compile_template(template)[0].references)
