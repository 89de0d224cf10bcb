"""`scheduler fire --at TIME --param`: the run has the dates of that time; what succeeded is not repeated."""

from __future__ import annotations

import pytest

from tests.cli.command_line import CommandLine, Result
from tests.torture.processes import query

FLOW = """
version: 1
flow: {id: f, params: {day: {type: date}, note: {default: none}, tags: {type: list, default: []}}}
jobs:
- id: a
  steps:
  - id: s
    type: external.process
    inputs:
      command: [sh, -c, 'echo "$*"; test ! -e FAIL', sh, "{{run.date}}", "{{params.day}}", "{{params.note}}",
                "tags={{params.tags}}"]
"""
ITEMS = """
version: 1
id: night
timezone: Europe/Berlin
items:
- id: a
  cron: 30 2 * * *
  flow_yaml: flow.yaml
  params:
    day: "{{run.previous_scheduled_at | format: %Y-%m-%d}}"
    note: "{{run.last_success_at:first}}"
"""


@pytest.fixture
def place(cli: CommandLine) -> CommandLine:
    """Return a command line in a folder with an item."""
    cli.write("flow.yaml", FLOW.replace("FAIL", str(cli.folder / "fail")))
    cli.write("scheduler.yaml", ITEMS)
    return cli


def fire(cli: CommandLine, *more: str) -> Result:
    """Fire the item in the process of the command."""
    return cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here", *more)


def test_a_run_has_the_dates_of_its_time_and_the_params_that_were_given(place: CommandLine) -> None:
    first = fire(place, "--at", "2026-03-02T02:30")
    assert (first.code, "2026-03-02 2026-03-01 first tags=[]" in first.err + first.out) == (0, True), first
    second = fire(place, "--at", "2026-03-04T02:30+01:00", "--param", "tags=x", "--param", "tags=y")
    assert '2026-03-04 2026-03-03 2026-03-02T01:30:00Z tags=["x","y"]' in second.err + second.out, second
    given = fire(place, "--at", "2026-03-05T02:30", "--param", "note=mine", "--json").json()
    assert given["scheduled_at"] == "2026-03-05T01:30:00.000000Z"
    rows = query(place.state, "SELECT params, cause FROM firings ORDER BY scheduled_at")
    assert rows == [("{}", "manual"), ('{"tags": ["x", "y"]}', "manual"), ('{"note": "mine"}', "manual")]


def test_what_succeeded_is_refused_and_what_failed_is_resumed(place: CommandLine) -> None:
    at = ("--at", "2026-03-02T02:30")
    place.write("fail", "")
    failed = fire(place, *at, "--json").json()
    assert failed["outcome"] == "FAILED"
    (place.folder / "fail").unlink()
    resumed = fire(place, *at, "--json").json()
    assert (resumed["outcome"], resumed["run_id"]) == ("SUCCESS", failed["run_id"])
    again = fire(place, *at)
    assert again.code == 2
    assert "error[AF444]: a at 2026-03-02T02:30:00+01:00 has succeeded already" in again.err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--at", "2099-01-01"), "AF445", "is in the future"),
        (("--param", "password=x"), "AF445", "a secret is not stored with a firing"),
        (("--param", "dya=x"), "AF560", "dya"),
        (("--param", "x"), "AF002", "write it as NAME=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_stored(
    place: CommandLine, more: tuple[str, ...], code: str, says: str
) -> None:
    done = fire(place, *more)
    assert (done.code, says in done.err, f"error[{code}" in done.err) == (2, True, True), done
    assert query(place.state, "SELECT * FROM firings") == []


def test_a_time_that_clocks_skip_is_the_tick_after_the_gap(place: CommandLine) -> None:
    given = fire(place, "--at", "2026-03-29T02:30", "--json").json()
    assert (given["scheduled_at"], given["zone"]) == ("2026-03-29T01:00:00.000000Z", "Europe/Berlin")
    period = "--from", "2026-03-29T02:30", "--to", "2026-03-30"
    plan = place.run("scheduler", "backfill", "a", *period, "--dry-run", "--file", "scheduler.yaml")
    assert "a: 0 ticks to run, 1 succeeded" in plan.out, "it is that tick, also for a backfill"


def test_a_time_that_is_no_tick_is_said_to_be_none(place: CommandLine) -> None:
    done = fire(place, "--at", "2026-03-02")
    assert (done.code, "2026-03-02T00:00:00+01:00 is no tick of a: " in done.err) == (0, True), done
    done = fire(place, "--at", "2026-03-02T02:30")
    assert (done.code, "is no tick" in done.err) == (0, False), done
