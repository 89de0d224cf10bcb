"""A state database of AetherFlow 0.0 is left as it is; a new one is made beside it, and that is said once."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import OK, CommandLine
from tests.store.old_layout import write_old_database


def with_old_state(cli: CommandLine) -> Path:
    """Write a flow, and a database of 0.0 where its state would be."""
    cli.write("flow.yaml", OK)
    cli.state.parent.mkdir(parents=True, exist_ok=True)
    return write_old_database(cli.state)


def test_a_run_makes_its_database_beside_the_old_one_and_says_so_once(cli: CommandLine) -> None:
    old = with_old_state(cli)
    before = old.read_bytes()
    new = old.with_name("aetherflow.v1.sqlite")

    first, second = cli.run("run", "flow.yaml"), cli.run("run", "flow.yaml", "--run-id", "x")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.err.count(f"{old} is a state database of AetherFlow 0.0") == 1
    assert f"runs are stored in {new} from now on" in first.err
    assert "AetherFlow 0.0" not in second.err
    assert old.read_bytes() == before
    assert new.exists()
    assert "x" in cli.run("runs", "list").out
    assert "x" in cli.run("runs", "list", "--state", str(old)).out


def test_a_command_that_only_looks_says_where_the_runs_will_be(cli: CommandLine) -> None:
    old = with_old_state(cli)

    result = cli.run("runs", "list")

    assert result.code == 2
    assert f"{old} is of AetherFlow 0.0" in result.err
    assert "aetherflow.v1.sqlite" in result.err


def test_a_run_that_0_0_had_begun_does_not_begin_again(cli: CommandLine) -> None:
    old = with_old_state(cli)

    result = cli.run("run", "flow.yaml", "--run-id", "r")

    assert result.code == 2
    assert "AF187" in result.err
    assert "load.read, load.send" in result.err
    assert str(old) in result.err
    assert not old.with_name("aetherflow.v1.sqlite").exists()
    assert "runs are stored in" in cli.run("run", "flow.yaml", "--run-id", "another").err
    assert "AF187" in cli.run("run", "flow.yaml", "--run-id", "r").err


def test_doctor_names_both(cli: CommandLine) -> None:
    old = with_old_state(cli)

    result = cli.run("doctor", "flow.yaml")

    assert (
        f"{old.with_name('aetherflow.v1.sqlite')} can be made, beside {old} of AetherFlow 0.0" in result.out
    )


def test_the_logs_of_steps_are_beside_the_new_database(cli: CommandLine) -> None:
    step = "{id: s, type: external.process, inputs: {command: [echo, hello]}}"
    old = with_old_state(cli)
    cli.write("flow.yaml", f"version: 1\nflow: {{id: f}}\njobs: [{{id: a, steps: [{step}]}}]\n")

    assert cli.run("run", "flow.yaml", "--run-id", "x").code == 0

    assert old.with_name("aetherflow.v1.logs").is_dir()
    assert "hello" in cli.run("logs", "x").out


def test_an_item_that_is_fired_here_says_it_too(cli: CommandLine) -> None:
    old = with_old_state(cli)
    cli.write("s.yaml", "version: 1\nitems: [{id: a, cron: '0 3 * * *', flow_yaml: flow.yaml}]\n")

    result = cli.run("scheduler", "fire", "a", "--file", "s.yaml", "--here")

    assert result.code == 0, result.err
    assert result.err.count(f"{old} is a state database of AetherFlow 0.0") == 1
