"""Required parameters, dates and paths in real runs, as a person types the commands."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

FLOW = """
version: 1
flow:
  id: f
  params:
    day: {type: date, description: The business day.}
    mode: {type: enum, enum: [full, delta]}
    files: {type: list, default: [a, b]}
    wait: {type: duration, default: 5m, max: 1h}
    src: {type: path, default: in/x.csv}
    note: {required: false}
    api_key: {default: hush-hush}
jobs:
  - id: a
    when: params.day == yesterday and params.wait <= 300
    steps:
      - id: s
        type: external.process
        inputs:
          command: [sh, -c, 'echo "$AETHERFLOW_RUN_DATE $AETHERFLOW_SCHEDULED_AT $FMT" && test -e "$GO"']
          env: {FMT: "{{`{{.Names}}`}}", GO: "{{env.GO}}"}
          log: {stdout: capture}
        outputs:
          said: "{{result.stdout}}"
          params: "{{params.day}} {{params.day / mo - 1d}} {{params.files}} {{params.wait}} {{params.src}}"
"""
GIVEN = ("--param", "day=yesterday", "--param", "mode=full")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    found = CommandLine(tmp_path)
    found.env["GO"] = str(tmp_path)
    found.write("flow.yaml", FLOW)
    return found


def today() -> date:
    return datetime.now(UTC).date()


def test_what_is_missing_is_named_before_anything_runs_and_the_hint_works(cli: CommandLine) -> None:
    done = cli.run("run", "flow.yaml")
    assert done.code == 2
    assert "the parameter 'day' is required (date): The business day.; " in done.err
    assert "the parameter 'mode' is required (enum, one of full, delta)" in done.err
    assert not cli.state.exists()
    options = done.err.partition("add to the command: ")[2].split()
    assert options == ["--param", "day=today", "--param", "mode=full"]
    assert cli.run("run", "flow.yaml", *options).code == 0


def test_commands_that_run_nothing_need_no_values(cli: CommandLine) -> None:
    assert cli.run("validate", "flow.yaml").code == 0
    assert cli.run("graph", "flow.yaml").code == 0
    assert cli.run("doctor", "flow.yaml").code == 0
    explained = cli.run("explain", "flow.yaml")
    assert explained.code == 0
    assert "params.day: date, required: The business day.\n" in explained.out
    assert "params.wait: duration, max 1h, default 5m\n" in explained.out
    assert "params.note: string, optional\n" in explained.out
    assert cli.run("explain", "flow.yaml", "--json").json()["params"]["day"]["required"] is True
    assert "hush" not in explained.out + cli.run("explain", "flow.yaml", "--json").out
    dry = cli.run("run", "flow.yaml", "--dry-run")
    assert (dry.code, "a run needs --param day=today --param mode=full" in dry.err) == (0, True)
    assert cli.run("run", "flow.yaml", "--dry-run", "--param", "mode=half").code == 2


def test_values_are_resolved_when_the_run_starts_and_a_resume_keeps_them(cli: CommandLine) -> None:
    day = today() - timedelta(days=1)
    cli.env["GO"] = str(cli.folder / "go")
    lists = ("--param", "files=x", "--param", "files=y,z")
    assert cli.run("run", "flow.yaml", "--run-id", "r", *GIVEN, *lists).code == 1
    shown = cli.run("runs", "show", "r").out
    assert f'"day":"{day}"' in shown
    assert '"files":["x","y","z"],"wait":300' in shown
    cli.write("go", "")
    assert cli.run("run", "flow.yaml", "--run-id", "r", *GIVEN).code == 0
    [(said, params)] = cli.query(
        "SELECT json_extract(outputs, '$.said'), json_extract(outputs, '$.params') FROM job_state"
    )
    assert (
        str(params)
        == f'{day} {day.replace(day=1) - timedelta(days=1)} ["x","y","z"] 300 {cli.folder}/in/x.csv'
    )
    assert str(said).startswith(f"{today()} {today()}T")
    assert str(said).endswith("Z {{.Names}}")


def test_a_resume_on_another_day_has_the_dates_of_the_first(cli: CommandLine) -> None:
    cli.env["GO"] = str(cli.folder / "go")
    assert cli.run("run", "flow.yaml", "--run-id", "r", *GIVEN).code == 1
    long_ago = "2026-03-28T23:30:00"
    with sqlite3.connect(cli.state) as raw:  # as if it had started then, and the flow had had a zone
        raw.execute(
            "UPDATE events SET payload = json_set(payload, '$.scheduled_at', ?,"
            " '$.timezone', 'Europe/Berlin', '$.params.day', '2026-03-28') WHERE event = 'run_started'",
            (f"{long_ago}Z",),
        )
    raw.close()
    cli.write("go", "")
    done = cli.run("run", "flow.yaml", "--run-id", "r", *GIVEN)
    assert done.code == 0
    assert "keeps the value" not in done.err  # yesterday is the day before that of the run
    [(said,)] = cli.query("SELECT json_extract(outputs, '$.said') FROM job_state")
    assert said == f"2026-03-29 {long_ago}Z {{{{.Names}}}}"


def test_a_run_that_began_without_a_value_that_is_required_now_resumes_without_it(cli: CommandLine) -> None:
    cli.env["GO"] = str(cli.folder / "go")
    flow = FLOW.replace("enum: [full, delta]", "enum: [full, delta], required: false")
    cli.write("flow.yaml", flow)
    assert cli.run("run", "flow.yaml", "--run-id", "r", *GIVEN[:2]).code == 1
    cli.write("flow.yaml", FLOW)
    cli.write("go", "")
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0


@pytest.mark.parametrize(
    ("where", "source", "expected"),
    [
        ("default", "", "{flow}/in/x.csv"),
        ("option", "q.csv", "{cwd}/q.csv"),
        ("file", "q.csv", "{file}/q.csv"),
    ],
)
def test_a_path_is_relative_to_where_it_is_written(
    cli: CommandLine, where: str, source: str, expected: str
) -> None:
    cli.write("flows/flow.yaml", FLOW)
    cli.write("given/params.yaml", f"src: {source}\n")
    options = {
        "default": (),
        "option": ("--param", f"src={source}"),
        "file": ("--params-file", "given/params.yaml"),
    }[where]
    assert cli.run("run", "flows/flow.yaml", *GIVEN, *options).code == 0
    [(params,)] = cli.query("SELECT json_extract(outputs, '$.params') FROM job_state")
    folders = {"flow": cli.folder / "flows", "cwd": cli.folder, "file": cli.folder / "given"}
    assert str(params).endswith(expected.format(**folders))


def test_a_condition_that_names_a_day_is_decided_by_the_run(cli: CommandLine) -> None:
    done = cli.run("run", "flow.yaml", "--param", "day=today", "--param", "mode=full")
    assert done.code == 0
    assert "a  SKIPPED" in done.err


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        (
            "default: 5m",
            "default: 5 minutes",
            "9:28",
            "the default of the parameter 'wait' must be a duration",
        ),
        ("id: f\n", "id: f\n  timezone: Europe/Berln\n", "5:3", "did you mean 'Europe/Berlin'?"),
        ("{{params.wait}}", "{{params.wait - 1d}}", "25", "AF565"),
        ("{{params.day / mo", "{{params.day - 1h / mo", "25", "a date has no time of day, so 'h' is no unit"),
        (
            "{{params.day}}",
            "{{params.day-1d}}",
            "25",
            "an offset has spaces around its sign: {{params.day - 1d}}",
        ),
        ("{{`{{.Names}}`}}", "{{.Names}}", "21", "write {{`{{.Names}}`}}"),
    ],
)
def test_validate_finds_what_cannot_be_a_date(
    cli: CommandLine, old: str, new: str, place: str, said: str
) -> None:
    cli.write("flow.yaml", FLOW.replace(old, new, 1))
    done = cli.run("validate", "flow.yaml")
    assert done.code == 2
    assert f"flow.yaml:{place}" in done.err
    assert said in done.err
