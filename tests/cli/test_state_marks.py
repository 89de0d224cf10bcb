"""`aetherflow state`: marks are listed, shown, set and deleted, with real runs that use them."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.cli.command_line import CommandLine, no_trace

PLUGIN = """
import pathlib, time
from aetherflow import Mark, StepContext, StepResult, step

@step("read")
async def read(context: StepContext, inputs: dict) -> StepResult:
    mark = await context.mark("orders")
    start = 0 if mark is None else mark.value
    here = pathlib.Path(inputs["here"])
    newest = int((here / "newest").read_text()) if (here / "newest").exists() else start + 100
    context.log(f"up from {start}")
    while (here / f"wait-{context.run_id}").exists():
        await context.clock.sleep(0.02)
    return StepResult(marks={"orders": Mark.of(newest)})
"""
FLOW = """version: 1
flow: {id: nightly}
jobs: [{id: load, steps: [{id: s, type: read, inputs: {here: '%s'}}]}]
"""
JSON = ("--log-format", "json")


@pytest.fixture
def place(cli: CommandLine) -> CommandLine:
    """A flow whose step reads a hundred rows."""
    cli.write("steps/read.py", PLUGIN)
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.folder / "steps")
    cli.write("flow.yaml", FLOW % cli.folder)
    return cli


def test_marks_are_listed_shown_set_and_deleted(place: CommandLine) -> None:
    first = place.run("run", "flow.yaml", "--run-id", "one")
    assert "read SUCCESS in" in first.err
    assert "; mark orders: none -> 100\n" in first.err
    assert place.run("run", "flow.yaml", "--run-id", "two").code == 0

    (mark,) = place.run("state", "list", "--json").json()["marks"]
    assert datetime.fromisoformat(mark.pop("moved_at"))
    assert mark == {
        "flow_id": "nightly",
        "name": "orders",
        "type": "int",
        "value": "200",
        "run_id": "two",
        "job_id": "load",
        "step_id": "s",
        "set_by": "",
    }
    assert "\nmark orders: 200 (int)\n" in place.run("run", "flow.yaml", "--dry-run").out
    listed = place.run("state", "list", "--flow", "nightly").out
    assert listed.startswith("nightly  orders  200 (int)  ")
    assert listed.endswith("  run two, load.s\n")
    shown = place.run("state", "show", "orders").out.splitlines()
    assert [line.partition("  run ")[2] for line in shown[1:]] == [
        "two, load.s: 100 -> 200",
        "one, load.s: none -> 100",
    ]
    assert "      mark orders: 100 -> 200\n" in place.run("runs", "show", "two").out
    (step,) = place.run("runs", "show", "two", "--json").json()["steps"]
    assert step["marks"]["orders"]["after"] == {"type": "int", "text": "200"}

    assert place.run("state", "set", "orders", "150").out == "the mark orders of nightly is 150; it was 200\n"
    assert "  set by " in place.run("state", "list").out
    assert "; mark orders: 150 -> 250\n" in place.run("run", "flow.yaml").err
    assert place.run("state", "delete", "orders").out == "the mark orders of nightly is deleted; it was 250\n"
    assert place.run("state", "list").out == "there are no marks\n"
    assert "; mark orders: none -> 100\n" in place.run("run", "flow.yaml").err


def test_a_mark_can_be_set_before_the_first_run(place: CommandLine) -> None:
    made = place.run("state", "set", "orders", "40", "--type", "int", "--flow", "nightly")
    assert (made.code, made.out) == (0, "the mark orders of nightly is 40\n")
    assert "; mark orders: 40 -> 140\n" in place.run("run", "flow.yaml").err


def test_a_mark_is_not_set_while_a_run_of_its_flow_is_executed(place: CommandLine) -> None:
    assert place.run("run", "flow.yaml", "--run-id", "one").code == 0
    place.write("wait-two", "")
    with place.start("run", "flow.yaml", "--run-id", "two", *JSON) as run:
        run.event("notice", message="up from 100")
        refused = place.run("state", "set", "orders", "50")
        assert refused.code == 75
        assert "run two of the flow nightly is being executed" in refused.err
        assert "AF997" in refused.err
        assert place.run("state", "delete", "orders").code == 75
        assert place.run("state", "set", "other", "1", "--type", "int", "--flow", "else").code == 0
        forced = place.run("state", "set", "orders", "50", "--force")
        assert forced.out == "the mark orders of nightly is 50; it was 100\n"
        (place.folder / "wait-two").unlink()
        assert run.end().code == 0
    assert place.run("state", "show", "orders", "--json").json()["mark"]["value"] == "50"


def test_of_two_runs_at_the_same_time_the_later_one_does_not_move_the_mark_back(place: CommandLine) -> None:
    place.write("wait-slow", "")
    place.write("newest", "150")
    with place.start("run", "flow.yaml", "--run-id", "slow", *JSON) as slow:
        slow.event("notice", message="up from 0")
        place.write("newest", "200")
        assert "; mark orders: none -> 200\n" in place.run("run", "flow.yaml", "--run-id", "fast").err
        (place.folder / "wait-slow").unlink()
        assert slow.end().code == 0
    assert place.run("state", "show", "orders", "--json").json()["mark"]["value"] == "200"
    assert "      mark orders: none -> 150\n" in place.run("runs", "show", "slow").out
    assert place.run("runs", "prune", "--keep-runs", "0").code == 0
    assert place.run("state", "show", "orders", "--json").json()["moves"] == []
    assert place.run("state", "show", "orders", "--json").json()["mark"]["value"] == "200"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show nix", "there is no mark 'nix' in"),
        ("delete nix", "there is no mark 'nix' in"),
        ("set nix 1", "there is no mark 'nix' in"),
        ("set nix 1 --flow f", "has no mark 'nix' yet, so the type of its value is unknown"),
        ("set nix 1 --flow f --type number", "--type number: there is no such type of mark"),
        ("set orders x", "'x' is no int"),
        ("set orders 2026-01-01 --type datetime --flow nix --type date x", "unexpected extra argument"),
        ("delete both", "several flows have a mark 'both': f, g"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: CommandLine, words: str, message: str) -> None:
    for flow, name in (("f", "orders"), ("f", "both"), ("g", "both")):
        assert cli.run("state", "set", name, "1", "--flow", flow, "--type", "int").code == 0
    refused = cli.run("state", *words.split())

    assert (refused.code, message in refused.err) == (2, True), refused.err
    assert no_trace(refused)
    assert cli.query("SELECT sum(set_count), sum(value) FROM marks") == [(3, 3)]


def test_a_mark_of_another_type_and_an_empty_one_are_seen(cli: CommandLine) -> None:
    new = ("state", "set", "orders", "1", "--flow", "f", "--type", "int")
    assert "caution" not in cli.run(*new).out
    assert "caution" not in cli.run("state", "set", "orders", "1.5", "--type", "decimal").out
    changed = cli.run("state", "set", "orders", "", "--type", "text")
    assert "is ''; it was 1.5\ncaution: it was of the type decimal, now text;" in changed.out
    assert "f  orders  '' (text)" in cli.run("state", "list").out
    assert "after --: aetherflow state set ... -- -5" in cli.run("state", "set", "orders", "-5").err
    assert cli.run("state", "set", "--type", "int", "--", "orders", "-5").code == 0
    assert cli.run("state", "set", "orders", "", "--type", "text").code == 0
    assert "\x1b" not in cli.run("state", "set", "orders", "\x1b[31mred").out
