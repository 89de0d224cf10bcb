"""`aetherflow runs export`: the page needs nothing but itself and holds no secret; no file is overwritten."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from aetherflow.cli.main import run_command_line
from tests.cli.command_line import OK, WAITS, CommandLine
from tests.web.page_reader import PageReader, problems

SECRETS = ("hunter2-password", "tok-4711-secret", "s3cr3t-of-the-env", "url-pass-8899")
WILD = (
    r"printf '<script>alert(1)</script></pre></script>\033[31mred\033[0m"
    r" \000 \377 \342\200\256abc\n10%%\r99%%\n'"
)
FLOW = f"""
# <script>alert("yaml")</script>
version: 1
flow:
  id: night
  params: {{region: {{type: string, default: "<b>eu</b>"}}, api_token: {{type: string, default: ""}}}}
  on_exit: [{{id: bye, type: check_items, inputs: {{items: [x]}}}}]
jobs:
  - id: list
    steps:
      - {{id: items, type: check_items, inputs: {{items: [x]}}, outputs: {{count: "{{{{result.count}}}}"}}}}
      - id: wild
        type: external.process
        inputs:
          command: [sh, -c, "{WILD.replace(chr(92), chr(92) * 2)}"]
          env: {{SHOP_PASSWORD: hunter2-password, FROM: "{{{{env.SHOP_HOST:shop}}}}"}}
  - id: load
    depends_on: [list]
    for_each: [f0, f1, f2, f3]
    steps:
      - id: copy
        type: external.process
        retry: {{max_attempts: 2, backoff_seconds: 0}}
        inputs:
          command:
            - sh
            - -c
            - echo "$1 $DB_PASSWORD"; test $0 = f0 || test -e fixed || {{ echo "no <$1>" >&2; exit 3; }}
            - "{{{{item}}}}"
            - --password=hunter2-password
          env: {{DB_PASSWORD: "{{{{env.DB_PASSWORD}}}}"}}
          cwd: flow
  - id: report
    depends_on: [load]
    steps: [{{id: r, type: check_items, inputs: {{items: ["postgres://ann:url-pass-8899@host/db"]}}}}]
  - id: other
    when: env.SHOP_HOST == 'x'
    steps: [{{id: u, type: check_items, inputs: {{items: [x]}}}}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with a run that failed, one that was resumed, and one that succeeded."""
    cli = CommandLine(tmp_path_factory.mktemp("export"))
    cli.env |= {"DB_PASSWORD": "s3cr3t-of-the-env"}
    cli.write("flow.yaml", FLOW)
    cli.write("ok.yaml", OK)
    given = ("--param", "api_token=tok-4711-secret")
    assert cli.run("run", "ok.yaml", "--run-id", "fine").code == 0
    for name in ("resumed", "failed"):
        assert cli.run("run", "flow.yaml", "--run-id", name, *given).code == 1
    cli.write("fixed", "")
    assert cli.run("runs", "retry", "resumed", *given).code == 0
    return cli


@pytest.fixture
def ask(place: CommandLine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process, in the folder; return its exit code, output and errors."""
    monkeypatch.chdir(place.folder)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)

    def ask(line: str) -> tuple[int, str, str]:
        code = run_command_line(line.split())
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return ask


def page(ask: Any, folder: Path, run: str) -> str:
    code, _, err = ask(f"runs export {run} --html {folder / 'page.html'}")
    assert code == 0, err
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("run", ["failed", "resumed", "fine"])
def test_a_page_is_well_formed_and_needs_nothing_but_itself(ask: Any, tmp_path: Path, run: str) -> None:
    assert problems(page(ask, tmp_path, run)) == []


def test_the_page_an_explanation_and_the_summary_count_alike_and_leave_hooks_out(
    ask: Any, tmp_path: Path
) -> None:
    header = " ".join(PageReader(page(ask, tmp_path, "failed")).text("header").split())
    why = " ".join(ask("explain failed")[1].split())
    summary = json.loads(ask("events failed")[1].splitlines()[-1])

    assert summary["instances"] == {"SUCCESS": 1, "FAILED": 3}
    jobs = Counter(summary["jobs"]) - Counter(summary["instances"])
    assert jobs == {"SUCCESS": 1, "FAILED": 1, "BLOCKED": 1, "SKIPPED": 1}
    assert "jobs: 1 SUCCESS, 1 FAILED, 1 BLOCKED, 1 SKIPPED." in why
    assert "jobs1 FAILED1 BLOCKED1 SKIPPED1 SUCCESS" in header
    assert summary["steps"] == {"SUCCESS": 3, "FAILED": 3}
    assert "steps3 FAILED3 SUCCESS" in header


@pytest.mark.parametrize("run", ["failed", "resumed"])
def test_no_secret_is_in_any_format(ask: Any, tmp_path: Path, run: str) -> None:
    ask(f"runs export {run} --html {tmp_path}/a --jsonl {tmp_path}/b --parquet {tmp_path}/c")

    table = str(pq.read_table(tmp_path / "c").to_pylist())
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in "ab"]
    assert [secret for secret in SECRETS for text in (*texts, table) if secret in text] == []
    assert texts[0].count("***") > 5


def test_the_page_says_what_happened_failures_first_and_each_once(ask: Any, tmp_path: Path) -> None:
    read = PageReader(page(ask, tmp_path, "failed"))
    text = read.text("body")

    assert read.text("h2").startswith("Failures (1)Graph")
    assert read.text("h1") == "night"
    assert read.text("article").count("exit code 3") == 1
    for said in (
        "load[1].copy",
        "f1",
        "flow.yaml:21",
        "AF732",
        "attempt 2",
        "no <--password=***>",
        "load[2].copy (f2)",
    ):
        assert said in read.text("article"), said
    assert "the same happened 2 more times" in text
    assert f"aetherflow runs retry failed --state {os.environ['AETHERFLOW_STATE_ROOT']}" in text
    assert "--param api_token=VALUE" in text
    assert "A command started it." in text
    assert "when: env.SHOP_HOST == 'x' is false" in text
    assert {"SHOP_HOST", "DB_PASSWORD"} <= {one.strip() for one in read.texts["code"]}
    assert "Python" in text


def test_text_of_programs_and_files_is_text(ask: Any, tmp_path: Path) -> None:
    markup = page(ask, tmp_path, "failed")
    read = PageReader(markup)

    assert read.elements.count("script") == 1
    assert "<b>eu" not in markup
    log = r"<script>alert(1)</script></pre></script>red \x00 " + "\ufffd " + r"\u202eabc" + "\n99%\n"
    assert log.rstrip() in read.text("pre")
    assert '# <script>alert("yaml")</script>' in read.text("pre")
    assert '"<b>eu</b>"' in read.text("code")


def test_a_resumed_run_shows_both_executions(ask: Any, tmp_path: Path) -> None:
    read = PageReader(page(ask, tmp_path, "resumed"))
    text = read.text("body")

    assert "Resumes" in read.text("h2")
    assert "Failures" not in read.text("h2")
    assert "It was resumed (attempt 2)" in text
    assert "load[1].copy, attempt 1: FAILED" in read.text("title")
    assert "load[1].copy, attempt 1: SUCCESS" in read.text("title") or "attempt 3: SUCCESS" in read.text(
        "title"
    )
    assert "kept" in read.texts["span"]


def test_a_flow_that_has_changed_since_or_is_gone_is_said_to(
    place: CommandLine, ask: Any, tmp_path: Path
) -> None:
    assert "flow.yaml, as the run read it last." in page(ask, tmp_path, "failed")
    place.write("flow.yaml", FLOW.replace("f0, f1", "f9, f1"))
    try:
        assert "The file has changed since the run read it" in page(ask, tmp_path, "failed")
        (place.folder / "flow.yaml").unlink()
        gone = page(ask, tmp_path, "failed")
    finally:
        place.write("flow.yaml", FLOW)

    assert "The flow file cannot be read now" in gone
    assert problems(gone.replace('href="#L', 'href="#flow" data-line="')) == []


def test_a_run_that_still_runs_says_so(place: CommandLine, ask: Any, tmp_path: Path) -> None:
    place.write("waits.yaml", WAITS)
    go = tmp_path / "go"
    place.env["GO"] = str(go)
    with place.start("run", "waits.yaml", "--run-id", "busy", "--log-format", "json") as running:
        running.event("step_started", step_id="s")
        running.event("step_output", text="up")
        read = PageReader(page(ask, tmp_path, "busy"))
        go.touch()
        assert running.end().code == 0

    assert "RUNNING" in read.text("header")
    assert "The run is still running." in read.text("header")
    assert read.text("pre").startswith("up")


def test_json_lines_are_those_of_the_events_command(ask: Any, tmp_path: Path) -> None:
    _, events, _ = ask("events failed")
    _, out, _ = ask("runs export failed --jsonl -")
    ask(f"runs export failed --jsonl {tmp_path}/e.jsonl")

    assert out == events == (tmp_path / "e.jsonl").read_text(encoding="utf-8")


def test_a_table_has_typed_columns_and_nested_values_as_json(ask: Any, tmp_path: Path) -> None:
    ask(f"runs export failed --parquet {tmp_path}/e.parquet --jsonl {tmp_path}/e.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]

    schema = pq.read_schema(tmp_path / "e.parquet")
    types = {
        name: str(schema.field(name).type)
        for name in ("seq", "timestamp", "duration_seconds", "error", "status")
    }
    assert types == {
        "seq": "int64",
        "timestamp": "timestamp[us, tz=UTC]",
        "duration_seconds": "double",
        "error": "string",
        "status": "string",
    }
    with duckdb.connect() as db:
        rows = db.execute(
            f"SELECT seq, event, job_id, error ->> '$.code' FROM '{tmp_path}/e.parquet' ORDER BY seq"
        ).fetchall()
    assert rows == [
        (one["seq"], one["event"], one.get("job_id"), one.get("error", {}).get("code")) for one in lines
    ]


def test_the_newest_run_is_exported_to_a_file_of_its_name(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = ask("runs export --html --jsonl")
    newest = json.loads(ask("runs list --json")[1])["runs"][0]["run_id"]

    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        f"{tmp_path}/{newest}.html",
        f"{tmp_path}/{newest}.jsonl",
    ]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{newest}.html", f"{newest}.jsonl"]


@pytest.mark.parametrize("format_", ["html", "jsonl", "parquet"])
def test_only_an_export_of_the_same_run_is_replaced(ask: Any, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "f"
    file.write_text("mine", encoding="utf-8")
    refused = ask(f"runs export failed --{format_} {file}")
    assert refused[0] == 2
    assert f"no {format_} export of this run" in refused[2]
    assert file.read_text(encoding="utf-8") == "mine"

    assert ask(f"runs export failed --{format_} {file} --force")[0] == 0
    assert ask(f"runs export failed --{format_} {file}")[0] == 0
    other = ask(f"runs export resumed --{format_} {file}")
    assert other[0] == 2
    assert "an export of run failed" in other[2]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_link_a_folder_and_a_missing_folder_are_refused(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name, said in (("link", "is a link"), (".", "is a folder"), ("none/x", "No such file or directory")):
        code, _, err = ask(f"runs export failed --html {tmp_path}/{name}")
        assert (code, said in err) == (2, True), err
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs export failed", "name a format"),
        ("runs export --html failed", "the run comes first: aetherflow runs export failed --html"),
        ("runs export failed --html - --jsonl -", "only one format"),
        ("runs export failed --html same --jsonl ./same", "two formats"),
        ("runs export failed --parquet -", "a Parquet table is written to a file"),
        ("runs export nothing --html", "there is no run 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Any, line: str, said: str) -> None:
    code, _, err = ask(line)

    assert code == 2
    assert said in err


def test_a_file_that_a_machine_without_runs_cannot_write_is_an_error(
    tmp_path: Path, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AETHERFLOW_STATE_ROOT", str(tmp_path))

    for line in ("runs export --html", "runs export --jsonl -"):
        code, out, err = ask(line)
        assert (code, out) == (2, "")
        assert "there is no state database" in err
        assert "the first run creates it" in err
    code, out, _ = ask("runs export --html --json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "AF605"
    assert not list(tmp_path.iterdir())


def test_a_database_without_runs_is_an_error_too(tmp_path: Path, ask: Any) -> None:
    empty = tmp_path / "empty.sqlite"
    assert ask(f"pools set warehouse 4 --state {empty}")[0] == 0

    code, out, err = ask(f"runs export --html --state {empty}")

    assert (code, out) == (2, "")
    assert f"there are no runs in {empty}" in err
    assert "aetherflow run FLOW" in err
