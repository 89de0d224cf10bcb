"""A request is resolved once: its parameters are read once, and what cannot run opens nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.config import param_values
from aetherflow.config.param_values import Reading
from aetherflow.errors import ConfigError, UsageError
from aetherflow.runs.resolved_run import resolve_run
from aetherflow.runs.run_request import RunRequest
from aetherflow.runs.run_ticket import RunTicket
from aetherflow.testing.fake_clock import FakeClock
from tests.runs.run_parts import Place, flow

JOBS = (
    "{id: a, steps: [{id: s, type: probe, inputs: {}}]}",
    "{id: b, depends_on: [a], steps: [{id: s, type: probe, inputs: {}}]}",
    "{id: c, steps: [{id: s, type: probe, inputs: {}}]}",
)
HEAD = "params: {doc: {type: json, required: true}}"
BY_DAY = "params: {doc: {required: true}}, state: {path: 'run/{{params.doc}}.db'}"


class NewIds(FakeClock):
    """A clock whose run ids are all the same."""

    def new_id(self) -> str:
        return "new"


CLOCK = NewIds()


@pytest.mark.asyncio
async def test_the_parameters_of_a_run_are_read_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def counted(value: Any, reading: Reading | None) -> Any:
        read.append(value)
        return param_values._json(value, reading)

    monkeypatch.setitem(param_values._CONVERSIONS, "json", counted)
    for times in (1, 2):  # a new run, then a resumed one
        report = await place.run(flow(*JOBS, head=HEAD), run_id="r", params={"doc": "[1]"})
        assert report.status == "SUCCESS"
        assert read == ["[1]"] * times


def test_a_new_run_without_a_required_parameter_is_refused_before_a_database_is_made(place: Place) -> None:
    checked = place.checked(flow(*JOBS, head=HEAD))
    for run_id in ("", "r"):
        with pytest.raises(UsageError, match="the parameter 'doc' is required"):
            resolve_run(checked, RunRequest(run_id=run_id), CLOCK)
    assert not place.state.exists()


def test_a_run_that_may_be_stored_may_leave_out_what_the_database_knows(place: Place, tmp_path: Path) -> None:
    checked = place.checked(flow(*JOBS, head=HEAD))
    found = tmp_path / "found.sqlite"
    run = resolve_run(checked, RunRequest(run_id="r", state=found), CLOCK)
    assert (run.run_id, run.state, run.params) == ("r", found, {"doc": None})
    place.state.parent.mkdir(parents=True)
    place.state.touch()
    assert resolve_run(checked, RunRequest(run_id="r"), CLOCK).state == place.state
    with pytest.raises(UsageError, match="required"):
        resolve_run(checked, RunRequest(), CLOCK)


def test_a_path_of_parameters_needs_them(place: Place) -> None:
    checked = place.checked(flow(*JOBS, head=BY_DAY))
    with pytest.raises(UsageError, match="required"):
        resolve_run(checked, RunRequest(run_id="r"), CLOCK)
    run = resolve_run(checked, RunRequest(params={"doc": "mon"}), CLOCK)
    assert (run.run_id, run.state) == ("new", place.folder / "run/mon.db")


def test_a_place_that_cannot_be_resolved_is_refused_for_a_new_run(place: Place) -> None:
    checked = place.checked(flow(*JOBS, head="workspace: {root: '{{env.NOWHERE}}'}"))
    with pytest.raises(ConfigError, match=r"flow\.workspace\.root"):
        resolve_run(checked, RunRequest(), CLOCK)


@pytest.mark.parametrize(
    ("request_", "selected"),
    [
        (RunRequest(), None),
        (RunRequest(flow_job="b"), {0, 1}),
        (RunRequest(only="a"), {0}),
        (RunRequest(only="a", with_downstream=True), {0, 1}),
    ],
)
def test_the_jobs_that_take_part_are_selected(
    place: Place, request_: RunRequest, selected: set[int] | None
) -> None:
    checked = place.checked(flow(*JOBS))
    assert resolve_run(checked, request_, CLOCK).selected == selected


def test_a_ticket_is_a_request(place: Place) -> None:
    ticket = RunTicket(run_id="t", flow_file=place.folder / "flow.yaml", flow_job="c", params={"doc": "1"})
    run = resolve_run(place.checked(flow(*JOBS, head=HEAD)), ticket, CLOCK)
    assert (run.run_id, run.selected, run.params, run.request.origin) == ("t", {2}, {"doc": 1}, "serve")
    with pytest.raises(UsageError, match="is not a run id"):
        RunTicket(run_id="../t", flow_file=Path("flow.yaml"))
