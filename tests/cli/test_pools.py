"""`aetherflow pools`, with real processes that share the slots."""

from __future__ import annotations

import signal

import pytest

from tests.cli.command_line import CommandLine, Running, flow, no_trace

STEP = """
- id: s
  type: external.process
  pool: warehouse
  inputs: {command: [sh, -c, 'echo up; until test -e "$0"; do sleep 0.02; done', "{{env.GO}}"]}
"""
JSON = ("--log-format", "json")


def test_a_pool_is_made_changed_shown_and_removed(cli: CommandLine) -> None:
    assert cli.run("pools", "list").out == "there are no pools\n", "and nothing is created to say so"
    made = cli.run("pools", "set", "warehouse", "1")
    assert (made.code, made.out) == (0, f"the pool warehouse has 1 slot in {cli.state}\n")
    assert cli.run("pools", "set", "warehouse", "4").code == 0
    listed = cli.run("pools", "list")
    assert listed.out == "warehouse  0 of 4 slots held, 0 waiting\n"
    assert cli.run("pools", "remove", "warehouse").code == 0
    assert cli.run("pools", "list").out == "there are no pools\n"
    gone = cli.run("pools", "remove", "warehouse")
    assert (gone.code, "there is no pool 'warehouse'" in gone.err) == (2, True)
    for number in ("0", "-1", "9999999"):
        assert cli.run("pools", "set", "--", "warehouse", number).code == 2
    assert no_trace(gone)


@pytest.mark.parametrize("killed", [False, True])
def test_processes_share_the_slots_and_a_killed_one_leaves_none_behind(
    cli: CommandLine, *, killed: bool
) -> None:
    cli.env["GO"] = str(cli.folder / "go")
    cli.write("flow.yaml", flow(STEP))
    assert cli.run("pools", "set", "warehouse", "1").code == 0
    with cli.start("run", "flow.yaml", "--run-id", "first", *JSON) as first:
        first.event("step_output", text="up")
        second = cli.start("run", "flow.yaml", "--run-id", "second", *JSON)
        shared(cli, first, second, killed=killed)
    (pool,) = cli.run("pools", "list", "--json").json()["pools"]
    assert (pool["used"], pool["waiting"]) == (0, [])


def shared(cli: CommandLine, first: Running, second: Running, *, killed: bool) -> None:
    """Look at two runs of which the first has the only slot; then let it go."""
    with second:
        event = second.event("step_waiting")
        assert (event["pool"], event["size"], event["held_by"]) == ("warehouse", 1, ["f, run first, a.s"])
        (pool,) = cli.run("pools", "list", "--json").json()["pools"]
        assert (pool["slots"], pool["used"], len(pool["held"]), len(pool["waiting"])) == (1, 1, 1, 1)
        text = cli.run("pools", "list").out
        assert f"held    1  {pool['held'][0]['holder']} since " in text
        refused = cli.run("pools", "remove", "warehouse")
        assert (refused.code, "AF643" in refused.err) == (75, True)
        shown = cli.run("runs", "show", "second")
        assert "waits for 1 slot of the pool warehouse (1), held by f, run first, a.s" in shown.out
        why = " ".join(cli.run("explain", "second").out.split())
        assert "Step a.s waits for 1 slot of the pool warehouse (1), held by f, run first, a.s." in why
        if killed:
            first.send(signal.SIGKILL)
            first.end()
        else:
            (cli.folder / "go").touch()
        second.event("step_output", text="up")
        (cli.folder / "go").touch()
        second.event("run_summary", status="SUCCESS")


def test_a_step_of_a_killed_run_waits_no_more(cli: CommandLine) -> None:
    cli.env["GO"] = str(cli.folder / "go")
    cli.write("flow.yaml", flow(STEP))
    assert cli.run("pools", "set", "warehouse", "1").code == 0
    with cli.start("run", "flow.yaml", "--run-id", "first", *JSON) as first:
        first.event("step_output", text="up")
        with cli.start("run", "flow.yaml", "--run-id", "second", *JSON) as second:
            second.event("step_waiting")
            second.send(signal.SIGKILL)
            second.end()
        shown, why = cli.run("runs", "show", "second").out, cli.run("explain", "second", "a.s").out
        (cli.folder / "go").touch()
        assert first.end().code == 0
    assert "PENDING   s (external.process): the process of the run died while it waited" in shown
    assert "waited in vain for 1 slot of the pool warehouse (1), held by f, run first, a.s" in shown
    assert "waits for" not in shown + why


def test_a_step_that_names_no_pool_of_the_database_fails_with_what_to_do(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow(STEP))
    done = cli.run("run", "flow.yaml", env={"GO": "/dev/null"})
    assert done.code == 1
    assert "AF640: there is no pool 'warehouse'" in done.err
    assert f"aetherflow pools set warehouse SLOTS --state {cli.state}" in done.err
    assert no_trace(done)


@pytest.mark.parametrize(("slots", "code"), [(None, "AF640"), (1, "AF641")])
def test_the_hint_helps_a_flow_with_a_state_database_of_its_own(
    cli: CommandLine, slots: int | None, code: str
) -> None:
    own = cli.folder / "own state" / "own.sqlite"
    text = "- {id: s, type: external.process, pool: warehouse, slots: 2, inputs: {command: ['true']}}"
    cli.write("flow.yaml", flow(text, f"flow: {{id: f, state: {{path: '{own}'}}}}"))
    if slots:
        assert cli.run("pools", "set", "warehouse", str(slots), "--state", str(own)).code == 0
    failed = cli.run("run", "flow.yaml", "--run-id", "r")
    assert code in failed.err
    assert f"{own}" in failed.err.partition("hint:")[0]

    command = failed.err.partition("aetherflow pools set")[2].partition("\n")[0].partition(", or")[0]
    made = cli.bash(f"aetherflow pools set {command.replace('SLOTS', '2')}")

    assert made.code == 0, made
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0
    gone = cli.run("pools", "remove", "nothing", "--state", str(own))
    assert f"aetherflow pools list --state '{own}' shows" in gone.err
