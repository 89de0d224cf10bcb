"""What commands say about past runs, exactly: texts and JSON, compared with stored snapshots.

AETHERFLOW_SNAPSHOTS=write rewrites them; look at the difference before it is committed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aetherflow.cli import explain_run
from aetherflow.cli.main import run_command_line
from tests.cli.command_line import OK, WAITS, CommandLine

SNAPSHOTS = Path(__file__).parent / "history_snapshots"

FLOW = """
version: 1
flow:
  id: night
  params: {region: {type: string, default: eu}, pin: {type: string, default: ""}}
jobs:
  - id: report
    depends_on: [load]
    steps: [{id: r, type: check_items, inputs: {items: [x]}}]
  - id: list
    steps:
      - {id: items, type: check_items, inputs: {items: [x]}, outputs: {count: "{{result.count}}"}}
  - id: load
    depends_on: [list]
    for_each: [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13]
    steps:
      - {id: look, type: check_items, inputs: {items: ["{{item}}"]}}
      - id: copy
        type: external.process
        inputs:
          command: [sh, -c, 'test "$0" != f7 || test -e fixed || { echo no $0 >&2; exit 3; }', "{{item}}"]
          cwd: flow
  - id: other
    when: params.region == 'us'
    steps: [{id: u, type: check_items, inputs: {items: [x]}}]
  - id: tries
    when: params.region == 'eu'
    steps:
      - id: flaky
        type: external.process
        retry: {max_attempts: 3, backoff_seconds: 0}
        inputs:
          command: [sh, -c, 'test -e "$0" || { touch "$0"; echo first >&2; exit 1; }; seq 5', tried]
          cwd: flow
"""
COMMANDS = {
    "list": "runs list",
    "list_of_failures": "runs list --flow night --status failed --param region=eu --since 2026-01-01",
    "show_failed": "runs show second",
    "show_resumed": "runs show fir",
    "show_all": "runs show second --all",
    "explain_run": "explain second",
    "explain_resumed": "explain first",
    "explain_job": "explain second report",
    "explain_condition": "explain second tries",
    "explain_instance": "explain second load[7]",
    "explain_step": "explain second tries.flaky",
    "explain_kept_step": "explain first list.items",
    "explain_mapped_step": "explain second load.copy",
    "diff": "runs diff first second",
    "logs": "logs second",
    "logs_tail": "logs first --job tries --step flaky --tail 2",
    "logs_grep": "logs first --grep [24]",
}
AS_JSON = ("list", "show_resumed", "explain_run", "explain_step", "diff", "logs")


CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r" *\b\d+\.\d\d s\b"), " T s"),
    (re.compile(r"process \d+ on [\w.-]+"), "process PID on HOST"),
    (re.compile(r'("(?:duration|a|b|wait)_seconds": )[\d.]+'), r"\1SECONDS"),
    (re.compile(r'("definition": )"[^"]+"'), r"\1FINGERPRINT"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A run that failed and was resumed with success, and one that failed; their stored times are fixed."""
    cli = CommandLine(tmp_path_factory.mktemp("history"))
    cli.write("flow.yaml", FLOW)
    assert cli.run("run", "flow.yaml", "--run-id", "first").code == 1
    (cli.folder / "fixed").touch()
    assert cli.run("runs", "retry", "first").code == 0
    (cli.folder / "fixed").unlink()
    (cli.folder / "tried").unlink()
    assert cli.run("run", "flow.yaml", "--run-id", "second", "--param", "pin=7").code == 1
    fix_times(cli.state)
    for number, log in enumerate(sorted(cli.state.parent.rglob("*.log"))):
        os.utime(log, (number, number))  # logs are shown in the order in which they were written last
    return cli


def fix_times(state: Path) -> None:
    """Let each job and step take one second, before or after the resume, whatever they took."""
    raw = sqlite3.connect(state)
    (resumed,) = raw.execute("SELECT at FROM events WHERE event = 'run_resumed'").fetchone()
    early, late = "2026-01-01T00:00:00.000000Z", "2026-01-01T02:00:00.000000Z"
    for table in ("job_state", "step_state"):
        raw.execute(
            f"UPDATE {table} SET started_at = iif(started_at IS NULL, NULL, iif(finished_at < ?1, ?2, ?3)), "
            "finished_at = replace(iif(finished_at < ?1, ?2, ?3), '00.0', '01.0')",
            (resumed, early, late),
        )
    set_in_event = "UPDATE events SET payload = json_set(payload, ?, ?) WHERE event = ?"
    raw.execute(set_in_event, ("$.at", "2026-01-01T02:00:00Z", "run_resumed"))
    raw.execute(set_in_event, ("$.duration_seconds", 5.0, "run_finished"))
    for run_id, at in (("first", early), ("second", late)):
        raw.execute("UPDATE run_state SET started_at = ? WHERE run_id = ?", (at, run_id))
    raw.commit()
    raw.close()


@pytest.fixture
def ask(place: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process; return its exit code and what it printed."""
    monkeypatch.chdir(place.folder)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)

    def ask(line: str) -> tuple[int, str]:
        code = run_command_line(line.split())
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return ask


def normal(text: str, folder: Path) -> str:
    """Return a text without what differs from run to run."""
    text = text.replace(str(folder), "DIR")
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    return text


@pytest.mark.parametrize("name", [*COMMANDS, *(f"{name}.json" for name in AS_JSON)])
def test_a_command_says_exactly_so(
    ask: Any, place: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_run, "WIDTH", 1000)  # where a sentence is wrapped depends on durations in it
    line = COMMANDS[name.removesuffix(".json")]
    code, text = ask(f"{line} --json" if name.endswith(".json") else line)

    shown = normal(text, place.folder)
    if name.endswith(".json"):
        report = json.loads(text)
        assert (list(report)[:2], report["ok"]) == (["schema", "ok"], True)
    assert code == 0
    path = SNAPSHOTS / (name if name.endswith(".json") else f"{name}.txt")
    if os.environ.get("AETHERFLOW_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert path.exists(), "AETHERFLOW_SNAPSHOTS=write writes it"
    assert shown == path.read_text(encoding="utf-8")


def test_explanations_are_at_most_80_columns_wide(ask: Any) -> None:
    _, text = ask("explain second")

    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("runs list --param pin=7", ["second"]),
        ("runs list --param region=us", []),
        ("runs list --item nightly", []),
        ("runs list --until 2026-01-01T01:00", ["first"]),
        ("runs list --since 2026-01-01T01:00", ["second"]),
        ("runs list --status success --status cancelled", ["first"]),
        ("runs list --flow day", []),
        ("runs list --limit 1", ["second"]),
    ],
)
def test_a_list_has_only_the_runs_that_fit(ask: Any, line: str, runs: list[str]) -> None:
    code, text = ask(f"{line} --json")

    assert code == 0
    assert [run["run_id"] for run in json.loads(text)["runs"]] == runs


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs show third", "there is no run 'third'"),
        ("explain second nix", "run second has no job or step 'nix'"),
        ("runs list --until 2026-01-01 --since 2026-01-02", "--until is not later than --since"),
        ("runs list --param region", "write it as NAME=VALUE"),
        ("logs second --grep (", "unterminated subpattern"),
        ("logs second --step nix", "no step that fits these options wrote a log"),
        ("explain flow.yaml load", "give a run to explain what happened"),
    ],
)
def test_what_cannot_be_answered_is_an_error(ask: Any, line: str, said: str) -> None:
    code, text = ask(line)

    assert code == 2
    assert said in text


def test_the_beginning_of_an_id_names_a_run_if_it_is_the_only_one(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    for name in ("day-1", "day-12", "night-3"):
        assert cli.run("run", "flow.yaml", "--run-id", name).code == 0

    shown = [cli.run("runs", "show", name, "--json").json()["run"]["run_id"] for name in ("n", "day-1")]
    unclear = cli.run("runs", "show", "day")

    assert shown == ["night-3", "day-1"]
    assert cli.run("runs", "show", "--json").json()["run"]["run_id"] == "night-3"
    assert unclear.code == 2
    assert "the ids of several runs begin with 'day': day-12, day-1" in unclear.err
    assert cli.run("runs", "retry", "day").err == unclear.err
    assert cli.run("runs", "cancel", "day").err == unclear.err
    assert "run night-3 is not being executed: it is SUCCESS" in cli.run("runs", "cancel", "n").err
    assert cli.run("runs", "retry", "ni", "--json").json()["run_id"] == "night-3"


def test_past_runs_are_shown_while_the_flow_file_is_wrong(cli: CommandLine) -> None:
    written = OK.replace("{id: f}", "{id: f, state: {path: own.sqlite}}")
    cli.write("flow.yaml", written)
    assert cli.run("run", "flow.yaml", "--run-id", "r1").code == 0
    cli.write("flow.yaml", written.replace("steps:", "stepz:"))

    listed = cli.run("runs", "list", "--flow-yaml", "flow.yaml", "--json")

    assert [run["run_id"] for run in listed.json()["runs"]] == ["r1"]
    taken = f"its state database is taken to be {cli.folder / 'own.sqlite'}: flow.yaml:5:"
    assert f"warning: flow.yaml has errors, so {taken}" in listed.err
    assert cli.run("events", "r1", "--flow-yaml", "flow.yaml").code == 0
    changes = cli.run("pools", "set", "lanes", "2", "--flow-yaml", "flow.yaml")
    assert (changes.code, "error[AF" in changes.err) == (2, True)


@pytest.mark.parametrize("words", ["runs list", "runs show", "logs", "logs --follow"])
def test_where_nothing_has_run_a_sentence_says_so(cli: CommandLine, words: str) -> None:
    cli.write("flow.yaml", OK)

    here, of_flow = cli.run(*words.split()), cli.run(*words.split(), "--flow-yaml", "flow.yaml")

    assert (here.code, here.out, here.err) == (0, "there are no runs yet: nothing has run here\n", "")
    assert (of_flow.code, of_flow.out) == (0, "there are no runs yet: flow.yaml has not run\n")
    assert cli.run(*words.replace(" --follow", "").split(), "--json").json()["ok"] is True
    assert not cli.state.parent.exists(), "nothing is created to say so"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("locks list", "no locks are held"),
        ("pools list", "there are no pools"),
        ("state list", "there are no marks"),
    ],
)
def test_where_nothing_has_run_other_lists_are_empty(cli: CommandLine, words: str, said: str) -> None:
    shown = cli.run(*words.split())

    assert (shown.code, shown.out, shown.err) == (0, f"{said}\n", "")
    assert cli.run(*words.split(), "--json").json()["ok"] is True
    assert not cli.state.parent.exists()


def test_a_database_or_run_that_was_named_must_exist(cli: CommandLine) -> None:
    assert "AF605" in cli.run("runs", "list", "--state", "none.sqlite").err
    assert "AF605" in cli.run("runs", "show", "r").err


def test_logs_can_be_followed_until_the_run_ends(cli: CommandLine) -> None:
    go = cli.folder / "go"
    cli.env["GO"] = str(go)
    cli.write("flow.yaml", WAITS.replace("done'", "done; echo end'"))
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        run.event("step_output", text="up")
        with cli.start("logs", "--follow") as logs:
            assert logs.process.stdout is not None
            heading, first = logs.process.stdout.readline(), logs.process.stdout.readline()
            go.touch()
            assert run.end().code == 0
            rest = logs.end()

    assert heading.startswith("== a.s, attempt 1 (")
    assert (first, rest.out, rest.code) == ("up\n", "end\n", 0)


def test_who_follows_the_logs_of_a_run_whose_process_dies_reads_that_it_died(cli: CommandLine) -> None:
    go = cli.folder / "go"
    cli.env["GO"] = str(go)
    cli.write("flow.yaml", WAITS)
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        run.event("step_output", text="up")
        with cli.start("logs", "r", "--follow") as logs:
            assert logs.process.stdout is not None
            heading, first = logs.process.stdout.readline(), logs.process.stdout.readline()
            run.process.kill()
            run.end()
            rest = logs.end()
    go.touch()

    assert heading.startswith("== a.s, attempt 1 (")
    assert (first, rest.out, rest.code) == ("up\n", "", 0)
    assert rest.err == "run r is INTERRUPTED: the process that executed it has died\n"


@pytest.mark.parametrize(
    ("version", "line", "said"),
    [
        (1, "explain nightly-7", "It was resumed (attempt 2). "),
        (3, "explain nightly-7", "1 step was kept, 1 to run again."),
        (3, "explain nightly-7", "It failed after 20.00 s (1 job failed); jobs: 2 PENDING"),
        (
            8,
            "explain nightly-7",
            "Its process died before the run had ended. It stored its last event after 8",
        ),
        (8, "runs show", "finished -, the last event after 8.00 s"),
        (8, "explain nightly-7", "A server started it for"),
    ],
)
def test_what_is_not_known_of_a_run_is_not_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: int, line: str, said: str
) -> None:
    state = Path(shutil.copy(Path(__file__).parents[1] / f"store/fixtures/state_v{version}.sqlite", tmp_path))

    assert run_command_line([*line.split(), "--state", str(state)]) == 0

    assert said in " ".join(capsys.readouterr().out.split())
