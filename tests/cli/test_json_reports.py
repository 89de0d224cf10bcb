"""Every report of `--json` begins with `schema` and `ok` and has the keys that the manual names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aetherflow.cli.command_group import build_command
from aetherflow.cli.commands import each_command, named_report
from aetherflow.cli.main import run_command_line
from aetherflow.cli.report_error import report_error
from aetherflow.errors import HeldByAnother, UsageError
from aetherflow.manual.pages import page
from tests.cli.bundle_files import with_bundle
from tests.cli.command_line import FAILS, OK, CommandLine, flow

ALL = dict(each_command())
REPORTING = [words for words, command in ALL.items() if command.reports]
RAISES = flow("- {id: s, type: check_items, inputs: {items: [x]}, retry: {max_attempts: no}}")
SCHEDULE = """\
version: 1
items:
  - {id: a, cron: '0 3 * * *', flow_yaml: flow.yaml}
  - {id: paused, cron: '0 3 * * *', flow_yaml: flow.yaml}
"""

IN_PROCESS = {
    "validate": "validate flow.yaml",
    "doctor": "doctor flow.yaml",
    "migrate": "migrate flow.yaml",
    "explain": "explain flow.yaml",
    "logs": "logs failed",
    "graph": "graph flow.yaml",
    "explain-code": "explain-code AF101",
    "help": "help tutorial",
    "steps list": "steps list",
    "steps show": "steps show check_items",
    "connectors list": "connectors list",
    "connectors show": "connectors show db:sqlite3",
    "bundle sync": "bundle sync --bundle-manifest bundle.yaml",
    "bundle status": "bundle status --bundle-manifest bundle.yaml",
    "runs list": "runs list",
    "runs show": "runs show failed",
    "runs diff": "runs diff failed failed",
    "runs export": "runs export failed --html",
    "runs prune": "runs prune --keep-days 9 --dry-run",
    "locks list": "locks list",
    "state list": "state list",
    "state show": "state show orders",
    "state set": "state set orders 7",
    "state delete": "state delete unused",
    "pools list": "pools list",
    "pools set": "pools set lanes 2",
    "pools remove": "pools remove unused",
    "init project": "init project new",
    "init monitoring": "init monitoring",
    "init plugin": "init plugin acme",
    "scheduler next": "scheduler next s.yaml",
    "scheduler simulate": "scheduler simulate s.yaml --from 2026-01-01 --to 2026-01-02",
    "scheduler status": "scheduler status s.yaml",
    "scheduler history": "scheduler history --file s.yaml",
    "scheduler explain": "scheduler explain a 2026-01-01 --file s.yaml",
    "scheduler pause": "scheduler pause a --file s.yaml --reason maintenance",
    "scheduler resume": "scheduler resume paused --file s.yaml",
    "scheduler backfill": "scheduler backfill a --from 2026-01-01 --to 2026-01-03 --dry-run --file s.yaml",
    "scheduler backfills": "scheduler backfills",
}
"""A command line with success for every command that reports."""

EXECUTES = {
    "run": ("run flow.yaml", 0),
    "runs retry": ("runs retry failed", 1),
    "scheduler fire": ("scheduler fire a --file s.yaml --here", 0),
    "notify test": ("notify test notify.yaml", 0),
}
"""The commands that take the signals of their process, with their exit codes."""

OF_A_LIVING_HOLDER = {
    "runs cancel": "run_id executed_by since status",
    "locks release": "lock_key holder owner",
    "scheduler cancel": "backfill item",
}
"""The commands that need another process; their own tests see their reports."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with a flow, a run that failed, a schedule and a bundle."""
    cli = CommandLine(tmp_path_factory.mktemp("reports"))
    cli.write("flow.yaml", OK)
    cli.write("fails.yaml", FAILS)
    cli.write("notify.yaml", OK.replace("{id: f}", "{id: f, notify: [{to: command, command: ['true']}]}"))
    cli.write("wrong.yaml", RAISES)
    cli.write("s.yaml", SCHEDULE)
    assert cli.run("run", "fails.yaml", "--run-id", "failed").code == 1
    assert cli.run("pools", "set", "unused", "1").code == 0
    assert cli.run("scheduler", "pause", "paused", "--file", "s.yaml", "--reason", "a test").code == 0
    for name in ("orders", "unused"):
        assert cli.run("state", "set", name, "5", "--type", "int", "--flow", "f").code == 0
    return with_bundle(cli)


@pytest.fixture
def ask(place: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process; return its exit code and its report."""
    monkeypatch.chdir(place.folder)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)

    def ask(line: str) -> tuple[int, dict[str, Any]]:
        code = run_command_line([*line.split(), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return ask


def documented() -> dict[str, set[str]]:
    """Return the keys of each schema as the manual names them."""
    table = page("commands").partition("\n## Reports as JSON\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `aetherflow\.([^/]+)/1` \|([^\n]+)\|$", table, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", keys.partition("|")[0])) for name, keys in rows}


def check(words: str, code: int, report: dict[str, Any]) -> None:
    schema = f"aetherflow.{words.replace(' ', '.')}/1"
    assert list(report)[:2] == ["schema", "ok"]
    assert (report["schema"], report["ok"]) == (schema, code == 0)
    assert set(report) - {"schema", "ok"} <= documented()[words.replace(" ", ".")], schema


@pytest.mark.parametrize("words", ALL)
def test_a_command_has_json_if_the_table_says_that_it_reports(words: str) -> None:
    options = {name for one in build_command(words, ALL[words]).params for name in one.opts}

    assert ("--json" in options) == ALL[words].reports
    assert named_report([*words.split(), "--json"]) == (words.replace(" ", ".") if ALL[words].reports else "")


def test_each_reporting_command_is_tried_and_documented() -> None:
    tried = {*IN_PROCESS, *EXECUTES, *OF_A_LIVING_HOLDER}

    assert sorted(tried) == sorted(REPORTING)
    assert {name.replace(".", " ") for name in documented()} == {*REPORTING, "run dry-run", "explain run"}


@pytest.mark.parametrize("words", IN_PROCESS)
def test_a_report_has_the_envelope_and_the_documented_keys(ask: Any, words: str) -> None:
    code, report = ask(IN_PROCESS[words])

    assert code == 0, report
    check(words, code, report)


@pytest.mark.parametrize("words", EXECUTES)
def test_a_run_ends_with_a_report_if_it_is_requested(place: CommandLine, words: str) -> None:
    line, code = EXECUTES[words]

    result = place.run(*line.split(), "--json", env={"AETHERFLOW_LOG_FORMAT": "json"})

    assert result.code == code, result
    check(words, code, result.json())
    if words == "runs retry":
        report = result.json()
        assert (report["run_id"], report["status"], report["exit_code"]) == ("failed", "FAILED", 1)
        assert report["resume"] == f"aetherflow runs retry failed --state {place.state}"


def test_a_dry_run_has_the_same_report_with_json_and_as_a_json_line(ask: Any, place: CommandLine) -> None:
    code, report = ask("run flow.yaml --dry-run")

    check("run dry-run", code, report)
    (line,) = place.run("run", "flow.yaml", "--dry-run", "--log-format", "json").lines()
    assert line == report


@pytest.mark.parametrize("words", REPORTING)
def test_an_error_of_the_command_line_is_a_report(ask: Any, words: str) -> None:
    code, report = ask(f"{words} --no-such-option")

    assert code == 2
    assert (report["schema"], report["ok"]) == (f"aetherflow.{words.replace(' ', '.')}/1", False)
    assert report["error"]["code"] == "AF002"
    assert report["error"]["hint"] == f"aetherflow {words} --help"


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("runs show nix", 2, "AF002"),
        ("steps show nix", 2, "AF540"),
        ("run wrong.yaml", 2, "AF110"),
        ("graph nix.yaml", 2, "AF101"),
        ("doctor wrong.yaml", 2, "AF110"),
        ("explain wrong.yaml", 2, "AF110"),
        ("bundle sync --bundle-manifest nix.yaml", 2, "AF101"),
        ("run flow.yaml --log-format json", 2, "AF002"),
        ("run flow.yaml --events -", 2, "AF002"),
    ],
)
def test_an_error_of_a_command_is_a_report_with_its_exit_code(
    ask: Any, line: str, code: int, error: str
) -> None:
    ended, report = ask(line)

    assert (ended, report["ok"], report["error"]["code"]) == (code, False, error)
    assert set(report["error"]) == {"code", "message", "hint"}
    if error not in ("AF002", "AF540"):
        assert report["diagnostics"][0]["code"] == error
        assert report["error"]["message"] == report["diagnostics"][0]["message"]


def test_why_a_run_came_so_has_the_envelope_and_the_documented_keys(ask: Any) -> None:
    code, report = ask("explain failed a.s")

    assert code == 0
    check("explain run", code, report)
    (step,) = report["explained"]
    assert any(one["sentence"].startswith("Attempt 1 failed after") for one in step["reasons"])


def test_validate_and_doctor_have_the_names_of_0_0_too(ask: Any) -> None:
    _, report = ask("validate wrong.yaml")

    (finding,) = report["errors"]
    assert (report["valid"], report["ok"], report["warnings"]) == (False, False, [])
    assert (report["flow_yaml"], report["file"]) == ("wrong.yaml", "wrong.yaml")
    assert finding == {
        "code": report["diagnostics"][0]["code"],
        "loc": "wrong.yaml:6:66",
        "msg": report["diagnostics"][0]["message"],
    }


def test_doctor_and_explain_have_the_names_of_0_0_too(ask: Any, place: CommandLine) -> None:
    fields = "config: {path: '{{env.NOPE}}', url: x}, decode: {config: {url: true}}"
    resource = f"resources:\n  db: {{kind: db, driver: sqlite3, {fields}}}\njobs:"
    place.write("unset.yaml", OK.replace("jobs:", resource))

    code, report = ask("doctor unset.yaml")
    _, explained = ask("explain unset.yaml")

    assert (code, report["ok"], report["flow_yaml"]) == (2, False, "unset.yaml")
    (missing,) = report["missing_env"]
    assert (missing["code"], missing["loc"].partition(":")[0]) == ("AF536", "unset.yaml")
    assert "NOPE" in missing["msg"]
    assert all(set(one) == {"code", "loc", "msg"} for one in report["warnings"])
    db = explained["resources"]["db"]
    assert (db["kind"], db["driver"], db["decode"]) == ("db", "db:sqlite3", {"config": {"url": True}})


def test_bundle_reports_have_the_names_of_0_0_too(ask: Any) -> None:
    _, synced = ask("bundle sync --bundle-manifest bundle.yaml")
    _, status = ask("bundle status --bundle-manifest bundle.yaml")

    assert Path(synced["active_dir"]).is_dir()
    assert (Path(status["fingerprints_dir"]) / status["fingerprint"]).is_dir()
    assert (status["bundle_id"], status["has_active"]) == ("demo", True)
    assert status["fingerprint"] == synced["fingerprint"]
    assert synced["changed"] == synced["switched"]
    assert synced["fetched_files"] == synced["fetched"]
    assert Path(status["bundle_root"]).is_relative_to(status["work_root"])


def test_a_command_without_a_report_says_so_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["serve", "--json"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "No such option: --json" in shown.err


def test_two_errors_are_one_report(capsys: pytest.CaptureFixture[str]) -> None:
    code = report_error(
        ExceptionGroup("two", [HeldByAnother("held"), UsageError("wrong")]),
        show_trace=False,
        report="runs.show",
    )

    report = json.loads(capsys.readouterr().out)
    assert (code, report["error"]["message"]) == (75, "held")
    assert [one["message"] for one in report["other_errors"]] == ["wrong"]


def test_a_full_disk_still_says_so(place: CommandLine) -> None:
    result = place.bash("aetherflow runs show nix --json >/dev/full")

    assert result.code == 1
    assert "error[AF810]" in result.err


def test_where_a_log_is(ask: Any) -> None:
    _, report = ask("logs failed")

    log = report["logs"][0]
    assert (log["job_id"], log["step_id"], log["attempt"]) == ("a", "s", 1)
    assert Path(log["path"]).stat().st_size == log["size_bytes"]
