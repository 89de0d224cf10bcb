"""The commands one by one: exit codes, options, what is on which stream, and what is imported for it."""

from __future__ import annotations

import json
import re

import pytest

from aetherflow._version import __version__
from tests.cli.command_line import FAILS, OK, SKIPS, WAITS, CommandLine, flow, imported_modules, no_trace

PARAMS = flow(
    "- {id: s, type: external.process, inputs: {command: [echo, 'day {{params.day}}']}}",
    "flow: {id: f, params: {day: {type: date, required: true}, n: {type: int, default: 1}}}",
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
    "an unknown log format": (("run", "ok.yaml", "--log-format", "xml"), "text or json"),
    "an empty run id": (("run", "ok.yaml", "--run-id", ""), "'' is not a run id"),
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
    "a state database that is not there": (("runs", "list"), "there is no state database"),
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

    assert [event["run_id"] for event in events if event["event"] == "run_finished"] == ["e1", "e2"]
    assert any(event.get("outputs") == {"has_data": True, "count": 1} for event in events)


def test_events_on_standard_output_leave_the_log_on_standard_error(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", "--events", "-")

    assert [event["event"] for event in result.lines()][-1] == "run_finished"
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


REPORTS = {
    "validate": ("validate", "flow.yaml"),
    "doctor": ("doctor", "flow.yaml"),
    "explain": ("explain", "flow.yaml"),
    "steps list": ("steps", "list"),
    "steps show": ("steps", "show", "external.process"),
    "connectors list": ("connectors", "list"),
    "connectors show": ("connectors", "show", "db:sqlite3"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_text_or_json(cli: CommandLine, name: str) -> None:
    cli.write("flow.yaml", OK)

    text = cli.run(*REPORTS[name])
    as_json = cli.run(*REPORTS[name], "--json")

    assert (text.code, as_json.code) == (0, 0)
    assert text.out.strip()
    assert as_json.json()
    assert as_json.err == ""


def test_steps_show_shows_the_keys_inside_of_mappings(cli: CommandLine) -> None:
    result = cli.run("steps", "show", "external.process", "--json")

    inputs = {field["name"]: field for field in result.json()["inputs"]}
    assert inputs["command"]["required"] is True
    assert "max_capture_kb" in {field["name"] for field in inputs["log"]["fields"]}
    assert "capture" in next(field["type"] for field in inputs["log"]["fields"] if field["name"] == "stdout")


def test_doctor_without_a_flow_shows_every_setting_and_where_it_came_from(cli: CommandLine) -> None:
    cli.env["AETHERFLOW_LOG_LEVLE"] = "DEBUG"

    text, report = cli.run("doctor"), cli.run("doctor", "--json").json()

    assert (text.code, text.err) == (0, "")
    assert f"setting  state_root = {cli.state.parent} (environment)\n" in text.out
    assert "setting  log_level = INFO (default)\n" in text.out
    assert "         hint: did you mean AETHERFLOW_LOG_LEVEL?\n" in text.out
    assert (report["file"], report["ok"]) == (None, True)
    assert {"name": "mode", "value": "internal_fast", "source": "default"} in report["settings"]
    assert {"clock", "time zones", "state", "extra db"} <= {one["subject"] for one in report["results"]}


def test_doctor_without_a_flow_has_no_resources_to_try_and_shows_a_wrong_setting(cli: CommandLine) -> None:
    nothing = cli.run("doctor", "--connect")
    wrong = cli.run("doctor", "--json", env={"AETHERFLOW_LOG_LEVEL": "LOUD"})

    assert nothing.code == wrong.code == 2
    assert "hint: aetherflow doctor FLOW --connect" in nothing.err
    assert wrong.json()["ok"] is False
    assert "AETHERFLOW_LOG_LEVEL is 'LOUD'" in wrong.json()["results"][0]["message"]


def test_doctor_connects_and_explain_shows_where_a_secret_is(cli: CommandLine) -> None:
    pin = cli.write("pin", "canary-7f3a9c\n")
    pin.chmod(0o600)
    text = OK.replace(
        "jobs:", "resources:\n  db: {kind: db, driver: sqlite3, config: {path: no/such/x.db}}\njobs:"
    )
    cli.write("flow.yaml", text)
    secret = text.replace("x.db}", f"x.db, database: {{secret: 'file:{pin}'}}}}")
    cli.write("secret.yaml", secret)

    connected, refused = (
        cli.run("doctor", "flow.yaml", "--connect"),
        cli.run("doctor", "secret.yaml", "--connect"),
    )
    explained = cli.run("explain", "secret.yaml")

    assert (connected.code, refused.code, explained.code) == (0, 2, 0)
    assert f"warning  connect db: file: {cli.folder}/no/such/x.db does not exist" in connected.out
    assert f"ok       resource db: config.database: the file {pin} is there" in refused.out
    assert "error    connect db: [AF500] resource 'db' (db:sqlite3) needs one of" in refused.out
    assert f"config.database          file:{pin} -> ***  (flow; secret by file)" in explained.out
    assert "options.timeout_seconds  5.0  (default)" in explained.out
    assert "canary" not in refused.out + explained.out


def test_doctor_is_content_with_a_flow_that_needs_a_parameter_of_the_run(cli: CommandLine) -> None:
    cli.write("flow.yaml", PARAMS)

    result = cli.run("doctor", "flow.yaml")

    assert result.code == 0, result
    assert "error" not in result.out


def test_what_happened_can_be_looked_up(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)
    assert cli.run("run", "flow.yaml", "--run-id", "night_1").code == 1

    listed = cli.run("runs", "list", "--status", "failed", "--json").json()["runs"]
    shown = cli.run("runs", "show", "night_1")
    logged = cli.run("logs", "night_1")

    assert [(run["run_id"], run["status"]) for run in listed] == [("night_1", "FAILED")]
    assert re.search(r"FAILED +s \(external\.process\)", shown.out)
    assert all(line.startswith(" ") for line in shown.out.splitlines()[1:]), "an error stays in its place"
    assert "oh no\n" in logged.out
    assert cli.run("runs", "show", "day_1").code == 2


def test_locks_that_are_held_can_be_looked_up(cli: CommandLine) -> None:
    go = cli.folder / "go"
    cli.env["GO"] = str(go)
    inner = WAITS.partition("    steps:\n")[2].strip().removeprefix("- id: s\n")
    cli.write(
        "flow.yaml",
        flow("- id: s\n  type: with_lock\n  inputs:\n    lock_key: mine\n    step:\n"
             + "\n".join(f"    {line}" for line in inner.splitlines())),
    )  # fmt: skip
    with cli.start("run", "flow.yaml", "--log-format", "json") as run:
        run.event("step_output", text="up")
        held = cli.run("locks", "list", "--json").json()["locks"]
        listed = cli.run("locks", "list").out
        assert re.search(rf"\(process {run.pid} on \S+, which started at \d{{4}}-.*Z\) since ", listed)
        second = cli.run("run", "flow.yaml")
        go.touch()
        assert run.end().code == 0

    assert [lock["lock_key"] for lock in held] == ["mine"]
    assert second.code == 75
    assert f"process {run.pid}" in second.err
    assert cli.run("locks", "list").out == "no locks are held\n"


HEAVY: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "version": (("--version",), {"typer", "msgspec", "anyio", "yaml"}),
    "help": (("--help",), {"anyio", "aiosqlite", "structlog", "rich", "yaml", "sqlalchemy"}),
    "validate": (("validate", "flow.yaml"), {"sqlalchemy", "aiosqlite", "structlog", "rich"}),
    "a run off a terminal": (("run", "flow.yaml"), {"sqlalchemy", "rich"}),
}


@pytest.mark.parametrize("what", HEAVY)
def test_a_command_imports_nothing_heavy_that_it_does_not_need(cli: CommandLine, what: str) -> None:
    arguments, heavy = HEAVY[what]
    cli.write("flow.yaml", OK)

    found = {module.partition(".")[0] for module in imported_modules(cli, *arguments)}

    assert "aetherflow" in found
    assert found & heavy == set()


def test_runs_show_has_what_failed_and_what_to_do_about_it(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        flow("- {id: s, type: db_extract, inputs: {resource: r, sql: select * from sales, output: o.tsv}}")
        + "resources:\n  r: {kind: db, driver: sqlite3, config: {path: db.sqlite}}\n",
    )
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1

    shown = cli.run("runs", "show", "r").out

    assert "      AF740: the statement failed on resource 'r': no such table: sales\n" in shown
    assert "      statement:\n        select * from sales\n" in shown
    assert "      hint: try the statement with its params on that database\n" in shown


def test_runs_show_shows_why_a_job_failed_before_its_steps(cli: CommandLine) -> None:
    count = (
        '{id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}, outputs: {n: "{{result.count}}"}}]}'
    )
    fan = (
        '{id: b, for_each: "{{jobs.a.outputs.n}}", steps: [{id: s, type: check_items, inputs: {items: [x]}}]}'
    )
    cli.write("flow.yaml", f"version: 1\nflow: {{id: f}}\njobs:\n  - {count}\n  - {fan}\n")
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1

    shown = cli.run("runs", "show", "r").out

    assert "  FAILED    b\n    AF712: for_each of job b must give a list, not a number: 1\n" in shown


@pytest.mark.parametrize(
    ("log", "hint"),
    [("{}", "the program wrote nothing"), ("{stdout: discard, stderr: discard}", "was discarded")],
)
def test_a_program_that_left_no_output_is_not_said_to_show_the_reason(
    cli: CommandLine, log: str, hint: str
) -> None:
    cli.write(
        "flow.yaml", flow(f"- {{id: s, type: external.process, inputs: {{command: ['false'], log: {log}}}}}")
    )

    result = cli.run("run", "flow.yaml")

    assert hint in result.err
    assert "the reason is in" not in result.err


@pytest.mark.parametrize(
    "group", ["", "steps", "connectors", "bundle", "runs", "locks", "pools", "init", "scheduler"]
)
def test_no_group_cuts_what_it_says_of_a_command(cli: CommandLine, group: str) -> None:
    listed = cli.run(*group.split(), "--help", env={"COLUMNS": "80"}).out.partition("Commands:")[2]

    assert listed
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_the_help_says_what_each_argument_is(cli: CommandLine) -> None:
    assert "[DIR] | COMMAND [ARGS]..." in cli.run("init", "--help").out
    assert "The step type, as `steps list` names it." in cli.run("steps", "show", "--help").out
    assert "The connector, as `connectors list` names it." in cli.run("connectors", "show", "--help").out


def test_steps_show_has_the_outputs_of_a_program_and_what_its_inputs_are_without_a_word(
    cli: CommandLine,
) -> None:
    shown = cli.run("steps", "show", "external.process").out

    outputs = shown.partition("outputs:\n")[2].splitlines()
    assert [line for line in outputs if not line.startswith("   ")][:3] == [
        "  exit_code: integer",
        "  attempts: integer",
        "  stdout: text (may be missing)",
    ]
    assert 'stdout: capture | discard | file | inherit or null (default "inherit")' in shown
    assert "exit_codes: integer or list of integer or null (default 0)" in shown


def test_validate_does_not_load_what_only_verbose_needs(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert "aetherflow.admin.resolved_paths" not in imported_modules(cli, "validate", "flow.yaml")
