"""The commands that run a flow: exit codes, options, what is on which stream, and what is imported for it."""

from __future__ import annotations

import json
import re

import pytest

from aetherflow._version import __version__
from tests.cli.command_line import (
    FAILS,
    OK,
    PARAMS,
    SKIPS,
    CommandLine,
    imported_modules,
    no_trace,
)

TWO_JOBS = """version: 1
flow: {id: f}
jobs:
  - {id: first, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
  - {id: second, depends_on: [first], steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
  - {id: alone, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
"""
FLOW_COMMANDS = ("run", "validate", "doctor", "explain")


def test_the_version_is_printed_alone(cli: CommandLine) -> None:
    result = cli.run("--version")

    assert (result.code, result.out, result.err) == (0, f"aetherflow {__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("steps",), ("connectors",), ("runs",), ("locks",)])
def test_a_command_without_its_word_gets_its_help_on_standard_error(
    cli: CommandLine, arguments: tuple[str, ...]
) -> None:
    result = cli.run(*arguments)

    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(f"Usage: {' '.join(['aetherflow', *arguments])}")
    assert "error[" not in result.err


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("run", "--help"), ("runs", "list", "--help")])
def test_help_is_an_answer(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    result = cli.run(*arguments)

    assert result.code == 0
    assert result.err == ""
    assert result.out.startswith("Usage: aetherflow")


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown command": (("rnu", "ok.yaml"), "Did you mean 'run'?"),
    "an unknown option": (("run", "ok.yaml", "--nope"), "--nope"),
    "an unknown log format": (("run", "ok.yaml", "--log-format", "xml"), "text, json or cloudevents"),
    "an empty run id": (("run", "ok.yaml", "--run-id", ""), "--run-id is empty"),
    "an empty name of a run to cancel": (("runs", "cancel", ""), "RUN is empty"),
    "an empty name of a run to resume": (("runs", "retry", ""), "RUN is empty"),
    "an empty file for events": (("run", "ok.yaml", "--events", ""), "--events is empty"),
    "an empty path of a state database": (("runs", "list", "--state", ""), "--state is empty"),
    "an empty address of metrics": (("serve", "ok.yaml", "--metrics", ""), "--metrics is empty"),
    "metrics without an address": (("serve", "ok.yaml", "--metrics"), "'--metrics' requires an argument"),
    "a run id with a space": (("run", "ok.yaml", "--run-id", "a b"), "at most 128"),
    "a run id that is a path": (("run", "ok.yaml", "--run-id", "../a"), "not a run id"),
    "a run id of dots": (("run", "ok.yaml", "--run-id", ".."), "not a run id"),
    "a run id that is too long": (("run", "ok.yaml", "--run-id", "x" * 129), "at most 128"),
    "an empty job": (("run", "ok.yaml", "--flow-job", ""), "--flow-job is empty"),
    "an unknown job": (("run", "ok.yaml", "--flow-job", "zz"), "its jobs are a"),
    "an unknown job of a dry run": (("run", "ok.yaml", "--flow-job", "zz", "--dry-run"), "its jobs are a"),
    "a parameter without a value": (("run", "ok.yaml", "--param", "day"), "NAME=VALUE"),
    "an unknown parameter": (("run", "params.yaml", "--param", "dya=1"), "did you mean 'day'?"),
    "a parameter of a wrong type": (("run", "params.yaml", "--param", "day=soon"), "2026-01-31"),
    "a missing parameter": (("run", "params.yaml"), "--param day=today"),
    "a wrong parameter of a dry run": (
        ("run", "params.yaml", "--dry-run", "--param", "day=soon"),
        "2026-01-31",
    ),
    "rerun without a run": (("run", "ok.yaml", "--rerun", "a"), "--run-id"),
    "events that cannot be written": (("run", "ok.yaml", "--events", "/dev/null/e"), "/dev/null/e"),
    "an unknown step type": (("steps", "show", "chek_items"), "did you mean 'check_items'?"),
    "an unknown connector": (("connectors", "show", "db:sqlit3"), "did you mean 'db:sqlite3'?"),
    "a missing argument": (("steps", "show"), "TYPE"),
    "a state database that is not there": (("runs", "list", "--state", "x.db"), "there is no state database"),
    "an unknown status": (("runs", "list", "--status", "GOOD"), "INTERRUPTED"),
    "a setting that is not allowed": (("run", "ok.yaml"), "AETHERFLOW_LOG_LEVEL"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_usage_ends_with_2_and_says_what_is_right(cli: CommandLine, wrong: str) -> None:
    arguments, words = WRONG[wrong]
    cli.write("ok.yaml", OK)
    cli.write("params.yaml", PARAMS)
    loud = {"AETHERFLOW_LOG_LEVEL": "loud"} if "setting" in wrong else None

    result = cli.run(*arguments, env=loud)

    assert result.code == 2, result
    assert re.match(r"error\[AF\d{3}\]: \S", result.err)
    assert words in result.err
    assert result.out == ""
    assert no_trace(result)
    assert not cli.state.exists()


@pytest.mark.parametrize("command", FLOW_COMMANDS)
def test_a_flow_is_named_once(cli: CommandLine, command: str) -> None:
    cli.write("ok.yaml", OK)

    by_option = cli.run(command, "--flow-yaml", "ok.yaml")
    both = cli.run(command, "ok.yaml", "--flow-yaml", "ok.yaml")

    assert by_option.code == 0, by_option
    assert both.code == 2
    assert "name one flow file" in both.err
    if command != "doctor":  # without a flow it looks at the machine
        none = cli.run(command)
        assert none.code == 2
        assert "name one flow file" in none.err
        assert "hint: aetherflow init writes a first flow" in none.err


@pytest.mark.parametrize(
    ("text", "code", "status"), [(OK, 0, "SUCCESS"), (SKIPS, 0, "SUCCESS"), (FAILS, 1, "FAILED")]
)
def test_the_exit_code_says_how_the_run_ended(cli: CommandLine, text: str, code: int, status: str) -> None:
    cli.write("flow.yaml", text)

    result = cli.run("run", "flow.yaml")

    assert result.code == code
    assert result.out == ""
    assert cli.query("select status from runs") == [(status,)]


def test_a_failure_names_the_step_the_run_the_cause_and_the_command_that_resumes_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)

    result = cli.run("run", "flow.yaml", "--run-id", "night_1")

    assert result.code == 1
    assert "failed: a.s (external.process)" in result.err
    assert "exit code 3" in result.err
    assert "oh no" in result.err
    assert f"resume: aetherflow runs retry night_1 --state {cli.state}\n" in result.err
    assert no_trace(result)


def test_json_on_standard_output_is_nothing_but_lines_that_name_flow_and_run(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)

    result = cli.run("run", "flow.yaml", "--log-format", "json", "--run-id", "j1")

    assert result.code == 1
    assert result.err == ""
    events = result.lines()
    assert {(event["flow_id"], event["run_id"]) for event in events} == {("f", "j1")}
    assert [event["event"] for event in events].count("run_summary") == 1
    assert events[-1]["event"] == "run_summary"
    assert events[-1]["status"] == "FAILED"
    steps = [event for event in events if event["event"].startswith("step_")]
    names = {(event["job_id"], event["step_id"], event["step_type"]) for event in steps}
    assert names == {("a", "s", "external.process")}


def test_the_log_format_of_the_environment_gives_way_to_the_option(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    as_json = {"AETHERFLOW_LOG_FORMAT": "json"}

    asked = cli.run("run", "flow.yaml", env=as_json)
    overruled = cli.run("run", "flow.yaml", "--log-format", "text", env=as_json)

    assert asked.lines()[-1]["event"] == "run_summary"
    assert overruled.out == ""
    assert "SUCCESS" in overruled.err


def test_events_are_appended_to_a_file(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    for number in (1, 2):
        assert cli.run("run", "flow.yaml", "--run-id", f"e{number}", "--events", "events.jsonl").code == 0

    events = [json.loads(line) for line in (cli.folder / "events.jsonl").read_text().splitlines()]

    assert [event["run_id"] for event in events if event["event"] == "run_summary"] == ["e1", "e2"]
    assert any(event.get("outputs") == {"has_data": True, "count": 1} for event in events)


def test_events_on_standard_output_leave_the_log_on_standard_error(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", "--events", "-")

    assert [event["event"] for event in result.lines()][-1] == "run_summary"
    assert "SUCCESS" in result.err


def test_a_full_disk_for_the_events_does_not_hurt_the_run_and_is_reported(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", "--events", "/dev/full")

    assert result.code == 0, result
    assert "/dev/full" in result.err
    assert "No space left on device" in result.err
    assert no_trace(result)
    assert cli.query("select status from runs") == [("SUCCESS",)]


def test_a_dry_run_shows_the_order_runs_nothing_and_writes_nothing(cli: CommandLine) -> None:
    cli.write("flow.yaml", TWO_JOBS)

    result = cli.run("run", "flow.yaml", "--dry-run", "--flow-job", "second")
    lines = cli.run("run", "flow.yaml", "--dry-run", "--log-format", "json")

    assert result.code == 0
    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == [
        "first",
        "second  [needs first]",
    ]
    assert "2 jobs would run" in result.err
    assert [job["id"] for job in lines.lines()[0]["jobs"]] == ["first", "second", "alone"]
    assert not cli.state.parent.exists()


def test_one_job_runs_with_those_it_waits_for(cli: CommandLine) -> None:
    cli.write("flow.yaml", TWO_JOBS)

    result = cli.run("run", "flow.yaml", "--flow-job", "second")

    assert result.code == 0
    assert cli.query("select job_id from step_state order by 1") == [("first",), ("second",)]


def test_parameters_reach_the_steps_and_stay_what_the_run_began_with(cli: CommandLine) -> None:
    cli.write("flow.yaml", PARAMS)

    first = cli.run("run", "flow.yaml", "--run-id", "p", "--param", "day=2026-02-01")
    again = cli.run("run", "flow.yaml", "--run-id", "p", "--param", "day=2026-03-01", "--rerun", "a")

    assert "a.s | day 2026-02-01" in first.err
    assert "a.s | day 2026-02-01" in again.err
    assert "the parameter day keeps the value that the run started with" in again.err


def test_rerun_runs_a_job_and_what_follows_it_again_and_keeps_the_rest(cli: CommandLine) -> None:
    cli.write("flow.yaml", TWO_JOBS)
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0

    result = cli.run("run", "flow.yaml", "--run-id", "r", "--rerun", "first.s", "--log-format", "json")
    unknown = cli.run("run", "flow.yaml", "--run-id", "r", "--rerun", "frist")

    begun = [event["job_id"] for event in result.lines() if event["event"] == "step_started"]
    assert begun == ["first", "second"]
    assert unknown.code == 2
    assert "the flow has no such job or step" in unknown.err


def test_a_run_id_of_another_flow_is_refused(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("other.yaml", OK.replace("{id: f}", "{id: other}"))
    assert cli.run("run", "flow.yaml", "--run-id", "mine").code == 0

    result = cli.run("run", "other.yaml", "--run-id", "mine")

    assert result.code == 2
    assert "is a run of the flow 'f', not of 'other'" in result.err


def test_debug_shows_the_traceback_of_a_step_that_failed_and_nothing_else_does(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)

    plain = cli.run("run", "flow.yaml")
    debug = cli.run("run", "flow.yaml", "--debug")

    assert (plain.code, debug.code) == (1, 1)
    assert no_trace(plain)
    assert "Traceback (most recent call last)" in debug.err


def test_validate_does_not_load_what_only_verbose_needs(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert "aetherflow.admin.resolved_paths" not in imported_modules(cli, "validate", "flow.yaml")
