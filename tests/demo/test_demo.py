"""The demo as its reader types it: the commands come from its README, in a copy of the demo."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.spec.load import load_flow
from tests.cli.command_line import CommandLine, Result, no_trace

DEMO = Path(__file__).parents[2] / "demo" / "usecase-singleflow"
FLOW = "demo/usecase-singleflow/flows/demo_flow.yaml"
EXTENDED = "demo/usecase-singleflow/flows/demo_flow_extended.yaml"
ITEMS = "items: [demo]"
SQL = 'sql: "select 1 as COL"'
NO_SUCH_TABLE = 'sql: "select * from does_not_exist"'
BEHIND_THE_GATE = ("extract_only", "locked_ops", "os_tool")
MEETS = """\
    - id: meet
      type: external.process
      inputs:
        command: [sh, -c, 'touch "$0/$1"; until [ $(ls $0 | wc -l) = 3 ]; do sleep 0.02; done', MEETING, JOB]
        timeout_seconds: 60
"""
"""A step that ends when three jobs have begun it: so none of them is over before another begins."""


class Reader:
    """Somebody who follows the README in a fresh copy of the demo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cli = CommandLine(root)
        output = root / "demo" / "output"
        self.work, self.state = output / "work", output / "state" / "demo_flow.sqlite"
        copy = root / "demo" / "usecase-singleflow"
        shutil.copytree(DEMO, copy)
        (root / ".venv").symlink_to(sys.prefix)
        shutil.copy(DEMO.parent / "environment.sh", root / "demo")
        readme = (copy / "README.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        self.prepare, self.checks, self.named_run, self.run, self.look, self.schedule, self.fire = blocks
        (self.two_jobs,) = re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)

    def type(self, command: str) -> Result:
        """Type a command in a shell that was prepared as the README says."""
        return self.cli.bash(f"{self.prepare}\n{command}")

    def edit(self, old: str, new: str) -> None:
        """Change the flow."""
        flow = self.root / FLOW
        text = flow.read_text()
        assert text.count(old) == 1
        flow.write_text(text.replace(old, new))

    def paste(self, before: str) -> None:
        """Paste the two jobs of the README before a text of the flow; an empty one is its end."""
        flow = self.root / FLOW
        head, tail = flow.read_text().split(before, 1) if before else (flow.read_text(), "")
        flow.write_text(head + self.two_jobs + before + tail)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask the state database; every row by its columns."""
        with closing(sqlite3.connect(self.state)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql)]


class FirstVisit(msgspec.Struct, frozen=True):
    """The reader after `Check it, run it`, and what each command printed."""

    reader: Reader
    validate: Result
    as_json: Result
    doctor: Result
    explain: Result
    run: Result


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> FirstVisit:
    """Type the commands of `Check it, run it`."""
    reader = Reader(tmp_path_factory.mktemp("demo"))
    results = [reader.type(command) for command in reader.checks.splitlines()]
    return FirstVisit(reader, *results)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader who has typed nothing yet."""
    return Reader(tmp_path)


def test_every_command_of_the_readme_succeeds(visit: FirstVisit) -> None:
    results = [visit.validate, visit.as_json, visit.doctor, visit.explain, visit.run]

    assert [result.code for result in results] == [0, 0, 0, 0, 0]
    assert all(no_trace(result) for result in results)


def test_the_flow_is_valid_for_people_and_for_programs(visit: FirstVisit) -> None:
    assert visit.validate.out == f"{FLOW}: valid\n"
    report = visit.as_json.json()
    assert (report["ok"], report["valid"], report["file"], report["diagnostics"]) == (True, True, FLOW, [])


def test_doctor_and_explain_say_where_the_url_comes_from(visit: FirstVisit) -> None:
    assert "ok       resource db: all variables are set" in visit.doctor.out
    assert "secrets/set_envs.py" in visit.doctor.out
    assert (
        f"config.url             {{{{env.DB_URL}}}} -> sqlite:///{visit.reader.root}/demo/output/demo.sqlite"
        "  (profile db_default; DB_URL: environment)\n" in visit.explain.out
    )
    assert visit.explain.out.startswith("db (db:sqlalchemy, profile db_default)\n")


def test_the_run_writes_what_the_readme_says(visit: FirstVisit) -> None:
    reader = visit.reader
    (run,) = reader.query("select run_id, status from runs")
    artifacts = reader.work / "demo_flow" / "{}" / run["run_id"] / "artifacts"

    assert run["status"] == "SUCCESS"
    assert (Path(str(artifacts).format("extract_only")) / "data.tsv").read_bytes() == b"COL\n1\n"
    assert (reader.root / "demo" / "output" / "demo.sqlite").parent.is_dir(), "SQLite's folder is made"


def test_the_state_holds_the_outputs_of_the_steps(visit: FirstVisit) -> None:
    reader = visit.reader
    outputs = {row["step_id"]: json.loads(row["outputs"]) for row in reader.query("select * from step_state")}
    (gate,) = reader.query("select outputs from job_state where job_id = 'probe'")

    assert json.loads(gate["outputs"]) == {"has_data": True, "count": 1}
    assert outputs["check"] == {"has_data": True, "count": 1}
    assert outputs["extract"]["rows"] == 1


@pytest.mark.parametrize("before", ["- id: probe", ""], ids=["first", "last"])
def test_the_two_jobs_of_the_readme_are_pasted_as_they_are(reader: Reader, before: str) -> None:
    reader.paste(before)

    result = reader.type(reader.run)

    assert result.code == 0, result
    (run,) = reader.query("select run_id, status from runs")
    outputs = {row["step_id"]: json.loads(row["outputs"]) for row in reader.query("select * from step_state")}
    locked = reader.work / "demo_flow" / "locked_ops" / run["run_id"] / "artifacts" / "locked.tsv"
    said = f"FLOW=demo_flow RUN={run['run_id']}\nDEMO_ENV=hello_from_step_env"
    assert locked.read_bytes() == b"COL\n1\n"
    assert outputs["run_tool"]["exit_code"] == 0
    assert outputs["run_tool"]["stdout"] == said
    assert set(outputs) == {"check", "extract", "locked", "run_tool"}


def test_the_extended_flow_is_the_flow_with_the_two_jobs(reader: Reader) -> None:
    reader.paste("")
    pasted, shipped = (load_flow(reader.root / name).spec for name in (FLOW, EXTENDED))
    assert shipped.jobs[2:] == pasted.jobs[2:]
    assert [job.steps for job in shipped.jobs] == [job.steps for job in pasted.jobs]
    assert shipped.resources == pasted.resources


def test_the_jobs_behind_the_gate_run_at_the_same_time(reader: Reader) -> None:
    meeting = reader.root / "meeting"
    meeting.mkdir()
    flow = reader.root / EXTENDED
    text = flow.read_text()
    for job in BEHIND_THE_GATE:
        head, steps, tail = text.partition(f"- id: {job}\n")[2].partition("  steps:\n")
        meets = MEETS.replace("MEETING", str(meeting)).replace("JOB", job)
        text = text.replace(head + steps + tail, head + steps + meets + tail)
    flow.write_text(text)
    done = reader.type(f"aetherflow run {EXTENDED}")
    assert done.code == 0, done
    reader.state = reader.state.with_name("demo_flow_extended.sqlite")
    events = reader.query(
        "select seq, event, job_id from events where event like 'step_%' "
        "and step_id in ('check', 'meet') order by seq"
    )
    begun = {row["job_id"]: row["seq"] for row in events if row["event"] == "step_started"}
    ended = {row["job_id"]: row["seq"] for row in events if row["event"] == "step_finished"}

    assert begun.keys() == {"probe", *BEHIND_THE_GATE}
    assert ended["probe"] < min(begun[job] for job in BEHIND_THE_GATE)
    assert max(begun[job] for job in BEHIND_THE_GATE) < min(ended[job] for job in BEHIND_THE_GATE)


def test_the_query_of_the_readme_shows_a_row_for_each_step(visit: FirstVisit) -> None:
    match = re.fullmatch(r'sqlite3 (\S+) "(.*)"\n', visit.reader.look)
    assert match
    assert visit.reader.root / match[1] == visit.reader.state

    rows = visit.reader.query(match[2])

    assert "select * from step_state limit 20" in match[2]
    assert {(row["job_id"], row["step_id"], row["status"]) for row in rows} == {
        ("probe", "check", "SUCCESS"),
        ("extract_only", "extract", "SUCCESS"),
    }


def test_with_no_items_the_gate_stays_closed_and_that_is_no_error(reader: Reader) -> None:
    reader.paste("")
    reader.edit(ITEMS, "items: []")

    result = reader.type(f"aetherflow run {FLOW}")

    assert result.code == 0, result
    jobs = {row["job_id"]: row["status"] for row in reader.query("select job_id, status from job_state")}
    steps = reader.query("select job_id, status from step_state")
    assert {job: jobs[job] for job in BEHIND_THE_GATE} == dict.fromkeys(BEHIND_THE_GATE, "SKIPPED")
    assert steps == [{"job_id": "probe", "status": "SKIPPED"}]
    assert not (reader.work / "demo_flow" / "extract_only").exists()


def test_what_failed_is_mended_and_only_that_runs_again(reader: Reader) -> None:
    assert "--run-id demo_resume_001" in reader.named_run
    reader.edit(SQL, NO_SUCH_TABLE)
    broken = reader.type(reader.named_run)

    assert broken.code == 1
    failed = next(line for line in broken.err.splitlines() if "failed: " in line)
    assert "extract_only.extract" in failed
    assert ": AF740: " in failed
    assert "does_not_exist" in broken.err
    assert "run demo_resume_001 of demo_flow  FAILED" in broken.err
    assert no_trace(broken)
    (last,) = reader.query("select max(seq) as seq from events")

    reader.edit(NO_SUCH_TABLE, SQL)
    mended = reader.type(reader.named_run)

    assert mended.code == 0, mended
    assert "kept: probe.check (SUCCESS)" in mended.err
    assert "runs again: extract_only.extract (FAILED)" in mended.err
    after = f"run_id = 'demo_resume_001' and seq > {last['seq']}"
    begun = reader.query(f"select step_id from events where {after} and event = 'step_started'")
    assert begun == [{"step_id": "extract"}]
    (gate,) = reader.query("select outputs from job_state where job_id = 'probe'")
    assert json.loads(gate["outputs"]) == {"has_data": True, "count": 1}
    data = reader.work / "demo_flow" / "extract_only" / "demo_resume_001" / "artifacts" / "data.tsv"
    assert data.read_bytes() == b"COL\n1\n"


def test_without_its_profiles_the_flow_says_what_to_set(reader: Reader) -> None:
    result = reader.type(f"unset AETHERFLOW_PROFILES_FILE\naetherflow validate {FLOW}")

    assert result.code == 2
    assert "AETHERFLOW_PROFILES_FILE" in result.err


def test_without_its_url_doctor_names_the_variable(reader: Reader) -> None:
    result = reader.type(f"unset DB_URL\naetherflow doctor {FLOW}")

    assert result.code == 2
    assert "DB_URL" in result.out


def test_the_flow_runs_by_itself_and_by_hand(reader: Reader) -> None:
    validate, look_ahead, run = reader.schedule.splitlines()
    assert reader.type(validate).code == 0
    ahead = reader.type(look_ahead)
    assert (ahead.code, len(ahead.out.splitlines())) == (0, 3)
    assert all("  demo_every_5m  in " in line for line in ahead.out.splitlines())
    fire, status = reader.fire.splitlines()
    nobody = reader.type(fire)
    assert nobody.code == 2
    assert "AF209" in nobody.err
    script = f"""
{run} > server.out 2>&1 &
until grep -q '^serving' server.out; do sleep 0.1; done
{fire} && until {status} | grep -q 'demo_every_5m: last .* SUCCESS'; do sleep 0.1; done
{status}
kill -TERM $! && wait $!
"""
    done = reader.type(script)
    assert done.code == 143, done
    assert "demo_every_5m: last" in done.out
    assert {row["status"] for row in reader.query("SELECT status FROM runs")} == {"SUCCESS"}
    served = (reader.root / "server.out").read_text()
    assert no_trace(Result(0, served, ""))
    assert re.search(
        r"loaded: 2 items\n"
        r"\S+ INFO +demo_every_5m   next 20[-0-9]+ [0-9:]+\+0[12]:00 \(in [0-9a-z ]+\)\n"
        r"\S+ INFO +demo_every_10s  disabled\n",
        served,
    )


def test_the_script_says_what_it_does_shows_what_it_wrote_and_what_to_try_next(reader: Reader) -> None:
    shutil.copy(DEMO.parent / "run.sh", reader.root / "demo")

    first, again = (reader.cli.bash("sh demo/run.sh --run-id only_once") for _ in range(2))

    for result in (first, again):
        assert result.code == 0, result
        assert [line.partition(":")[0] for line in result.out.splitlines() if line.startswith("== ")] == [
            "== Checking the flow",
            "== Running it",
            f"== What the run wrote, below {reader.root}/demo/output",
            "== What to try next (the demo's README goes through all of it",
        ]
        assert "   work/demo_flow/extract_only/only_once/artifacts/data.tsv\n" in result.out
    assert "extract_only.extract  db_extract SUCCESS" in first.err
    assert "extract_only.extract (SUCCESS)" in again.err
    assert "db_extract started" not in again.err


def test_what_the_script_says_to_try_next_works(reader: Reader) -> None:
    script = (DEMO.parent / "run.sh").read_text()
    shown = script.partition("== What to try next")[2].partition("END")[0]
    commands = [line.strip().replace("$flow", FLOW) for line in shown.splitlines()[1:]]
    assert len(commands) > 3
    shutil.copy(DEMO.parent / "run.sh", reader.root / "demo")
    assert reader.cli.bash("sh demo/run.sh").code == 0

    for command in commands[1:]:
        result = reader.cli.bash(f"{commands[0]}\n{command}")
        assert result.code == 0, (command, result)


def test_the_demo_writes_nowhere_else(reader: Reader) -> None:
    names = {path.name for path in DEMO.parent.iterdir()} - {"output"}
    text = "\n".join(
        path.read_text()
        for path in DEMO.parent.rglob("*")
        if path.suffix in {".sh", ".md", ".yaml", ".py"} and "output" not in path.parts
    )

    multiflows = {"usecase-multiflows-local", "usecase-multiflows-remote"}
    demos = {"usecase-singleflow", "usecase-report", *multiflows}
    assert names == {"environment.sh", "install.sh", "run.sh", "recording", *demos}
    assert "/tmp" not in text  # noqa: S108 - looked for, not used
    assert reader.type("env | grep ^DEMO_DIR").out == f"DEMO_DIR={reader.root}/demo/output\n"


def test_nothing_that_a_run_of_the_demo_writes_is_in_the_repository() -> None:
    root = DEMO.parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout, or no git")
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    assert listed.stdout == ""
