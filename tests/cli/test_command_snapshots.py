"""What each command prints, exactly, as text and as JSON: compared with a stored snapshot.

AETHERFLOW_SNAPSHOTS=write rewrites them; look at the difference before it is committed. The tests in
`test_history.py` have more of them, of what commands say about past runs.
"""

from __future__ import annotations

import json
import os
import re
from difflib import unified_diff
from pathlib import Path

import pytest

from aetherflow.cli.commands import each_command
from aetherflow.cli.main import run_command_line
from tests.cli.bundle_files import with_bundle
from tests.cli.command_line import BIN, OK, CommandLine

SNAPSHOTS = Path(__file__).parent / "command_snapshots"

FLOW = """
version: 1
flow: {id: orders, max_parallel_jobs: 1, params: {region: {type: string, default: eu}}}
resources:
  shop: {kind: db, driver: sqlite3, config: {path: shop.sqlite}}
jobs:
  - id: load
    for_each: [north, south]
    steps:
      - {id: copy, type: external.process, inputs: {command: [grep, '{{item}}', data.txt], cwd: flow}}
  - id: report
    depends_on: [load]
    when: params.region == 'eu'
    steps: [{id: check, type: check_items, inputs: {items: [x]}}]
"""
SCHEDULE = """
version: 1
timezone: UTC
items:
  - {id: leap, cron: '0 3 29 2 *', flow_yaml: flow.yaml}
  - {id: other, cron: '30 * * * *', flow_yaml: ok.yaml}
"""
WRONG = "version: 1\nflow: {id: w}\njobs:\n- {id: a, step: []}\n"

LINES = {
    "validate": "validate wrong.yaml",
    "migrate": "migrate flow.yaml",
    "doctor": "doctor flow.yaml",
    "explain": "explain flow.yaml",
    "logs": "logs failed",
    "events": "events failed",
    "schema": "schema --kind flow",
    "graph": "graph flow.yaml",
    "explain-code": "explain-code AF101",
    "help": "help",
    "steps list": "steps list",
    "steps show": "steps show check_items",
    "connectors list": "connectors list",
    "connectors show": "connectors show db:sqlite3",
    "bundle sync": "bundle sync --bundle-manifest bundle.yaml",
    "bundle status": "bundle status --bundle-manifest bundle.yaml",
    "runs list": "runs list",
    "runs show": "runs show failed",
    "runs diff": "runs diff failed good",
    "runs export": "runs export failed --html report{n}.html",
    "runs cancel": "runs cancel failed",
    "runs prune": "runs prune --keep-days 9 --dry-run",
    "locks list": "locks list",
    "locks release": "locks release no.such.lock",
    "state set": "state set orders 7 --flow orders",
    "state list": "state list",
    "state show": "state show orders",
    "state delete": "state delete gone{n}",
    "pools set": "pools set lanes 2",
    "pools list": "pools list",
    "pools remove": "pools remove gone{n}",
    "init project": "init project new{n}",
    "init plugin": "init plugin acme{n}",
    "init systemd": "init systemd s.yaml",
    "init monitoring": "init monitoring alerts{n}",
    "scheduler next": "scheduler next s.yaml --count 3",
    "scheduler simulate": "scheduler simulate s.yaml --from 2028-02-29 --to 2028-02-29T04:00",
    "scheduler pause": "scheduler pause leap --file s.yaml --reason maintenance",
    "scheduler status": "scheduler status s.yaml",
    "scheduler resume": "scheduler resume leap --file s.yaml",
    "scheduler history": "scheduler history --file s.yaml",
    "scheduler explain": "scheduler explain leap 2028-02-29T03:00 --file s.yaml",
    "scheduler backfill": "scheduler backfill leap --from 2024-02-28 --to 2024-03-01 --dry-run --file s.yaml",
    "scheduler backfills": "scheduler backfills",
    "scheduler cancel": "scheduler cancel no.such.backfill",
}
"""A command line for each command, in this order on one state; `{n}` is another one for text and for JSON."""

STARTED = {
    "run": "run flow.yaml --run-id again{n}",
    "runs retry": "runs retry failed",
    "scheduler fire": "scheduler fire other --file s.yaml --here",
    "notify test": "notify test notify.yaml",
}
"""The commands that take the signals of their process: they are started."""

SERVERS = {"serve": "test_serve.py", "scheduler run": "test_serve.py", "worker": "test_worker.py"}
"""The commands that run until they are stopped, and where what they print is tested."""

CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:[\d.]+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DAY"),
    (re.compile(r"\bin (\d+ (d|h|min|s) ?)+"), "in T"),
    (re.compile(r" *\b\d+(\.\d+)? s\b"), " T s"),
    (re.compile(r"\b\d+ zones, version \w+"), "N zones, version V"),
    (re.compile(r'(by |by": ")[\w.-]+@[\w.-]+'), r"\1WHO"),
    (re.compile(r'("\w*(?:seconds|_ms|bytes)": ?)[\d.]+'), r"\1NUMBER"),
    (re.compile(r"process \d+ on [\w.-]+"), "process PID on HOST"),
    (
        re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b"),
        "HEX",
    ),
    (re.compile(r'("(?:definition|version|python|pid)": ?)"?[^",}]+"?'), r"\1CHANGING"),
)
MOST_LINES = 60
"""Of what is longer, such as a schema, the beginning is enough: other tests see the whole."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with flows, a schedule and a bundle; a run that succeeded and one that failed."""
    cli = CommandLine(tmp_path_factory.mktemp("snapshots"))
    cli.write("flow.yaml", FLOW)
    cli.write("data.txt", "north\n")
    cli.write("ok.yaml", OK)
    cli.write("wrong.yaml", WRONG)
    cli.write("notify.yaml", OK.replace("{id: f}", "{id: f, notify: [{to: command, command: ['true']}]}"))
    cli.write("s.yaml", SCHEDULE)
    assert cli.run("run", "ok.yaml", "--run-id", "good").code == 0
    assert cli.run("run", "flow.yaml", "--run-id", "failed").code == 1
    for number in "12":
        assert cli.run("pools", "set", f"gone{number}", "1").code == 0
        assert cli.run("state", "set", f"gone{number}", "5", "--type", "int", "--flow", "f").code == 0
    return with_bundle(cli)


def test_each_command_prints_exactly_this(
    place: CommandLine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place.folder)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    is_writing = os.environ.get("AETHERFLOW_SNAPSHOTS") == "write"
    monkeypatch.delenv("AETHERFLOW_SNAPSHOTS", raising=False)  # `doctor` warns about it
    reporting = {words for words, command in each_command() if command.reports}

    different = {}
    for words, line in (LINES | STARTED).items():
        shown = ""
        for number, one in enumerate([line, f"{line} --json"] if words in reporting else [line], 1):
            arguments = one.replace("{n}", str(number)).split()
            if words in STARTED:
                ended = place.run(*arguments)
                code, out, err = ended.code, ended.out, ended.err
            else:
                capfd.readouterr()
                code = run_command_line(arguments)
                out, err = capfd.readouterr()
            if number > 1:
                report = json.loads(out)
                assert list(report)[:2] == ["schema", "ok"], one
                out = json.dumps(report, indent=1, ensure_ascii=False)
            shown += (
                f"$ aetherflow {one}\n{normal(out, place.folder)}{normal(err, place.folder)}exit {code}\n\n"
            )
        path = SNAPSHOTS / f"{words.replace(' ', '_')}.txt"
        if is_writing:
            path.parent.mkdir(exist_ok=True)
            path.write_text(shown, encoding="utf-8")
        elif (stored := path.read_text(encoding="utf-8") if path.exists() else "") != shown:
            different[words] = "\n".join(
                unified_diff(stored.splitlines(), shown.splitlines(), lineterm="", n=1)
            )
    assert not different, "\n".join(different.values())


def normal(text: str, folder: Path) -> str:
    """Return the beginning of a text without what differs from run to run."""
    text = text.replace(str(folder), "DIR").replace(str(BIN), "BIN")
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    lines = [
        re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in text.splitlines()
    ]  # columns are as wide as TIME was
    more = ["..."] if len(lines) > MOST_LINES else []
    return "".join(f"{line}\n" for line in lines[:MOST_LINES] + more)
