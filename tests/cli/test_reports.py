"""The commands that show something: types, settings, runs, locks, as text and as JSON."""

from __future__ import annotations

import re

import pytest

from tests.cli.command_line import (
    FAILS,
    OK,
    PARAMS,
    WAITS,
    CommandLine,
    flow,
)

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


@pytest.mark.parametrize(
    ("sql", "failed", "hint"),
    [
        (
            "select * from sales",
            (
                "AF740: the statement failed on resource 'r': no such table: sales (line 1, column 15)\n"
                "        select * from sales\n"
                "                      ^\n"
            ),
            "try the statement with its params on that database",
        ),
        (
            "create table sales (n int)",
            (
                "AF742: the statement on resource 'r' writes, and this step only reads: "
                "it begins with CREATE\n"
                "      statement:\n"
                "        create table sales (n int)\n"
            ),
            "give a statement that only returns rows, such as SELECT; db_execute runs others",
        ),
    ],
)
def test_runs_show_has_what_failed_and_what_to_do_about_it(
    cli: CommandLine, sql: str, failed: str, hint: str
) -> None:
    cli.write(
        "flow.yaml",
        flow(f"- {{id: s, type: db_extract, inputs: {{resource: r, sql: {sql}, output: o.tsv}}}}")
        + "resources:\n  r: {kind: db, driver: sqlite3, config: {path: db.sqlite}}\n",
    )
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1

    shown = cli.run("runs", "show", "r").out

    assert f"      {failed}" in shown
    assert f"      hint: {hint}\n" in shown


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

    assert (
        "  FAILED    b  flow.yaml:5\n    AF712: for_each of job b must give a list, not a number: 1\n"
        in shown
    )


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
    "group", ["", "steps", "connectors", "bundle", "runs", "locks", "state", "pools", "init", "scheduler"]
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
