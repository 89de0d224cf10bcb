"""Runs whose server was killed with SIGKILL are resumed, or end, as their flows say; each exactly once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aetherflow.scheduler.repeated_work import AGAIN_SECONDS
from tests.polling import wait_until
from tests.torture.processes import query
from tests.torture.runners import Runners, reports
from tests.warm_start import COMMAND, Popen


@pytest.fixture
def runners(tmp_path: Path) -> Runners:
    return Runners(tmp_path)


def flow(runners: Runners, head: str = "", second: str = "until test -e $GO; do sleep 0.02; done") -> str:
    """Write a flow of two steps that leave traces; the second one waits."""
    runners.env["GO"] = str(runners.folder / "go")
    runners.env["TRACE"] = str(runners.folder / "trace")
    steps = "".join(
        f"      - {{id: {name}, type: external.process, inputs: {{command: [sh, -c, '{script}']}}}}\n"
        for name, script in [("one", "echo one >> $TRACE"), ("two", f"echo two >> $TRACE; {second}")]
    )
    return runners.write(
        "flow.yaml", f"version: 1\nflow: {{id: demo{head}}}\njobs:\n  - id: a\n    steps:\n{steps}"
    )


def traces(runners: Runners) -> list[str]:
    """Return what the steps left."""
    file = runners.folder / "trace"
    return file.read_text().split() if file.exists() else []


def wait_for(runners: Runners, number: int) -> None:
    """Wait until so many second steps have begun."""
    wait_until(lambda: traces(runners).count("two") == number, "the second step")


def killed(runners: Runners, *wanted: str) -> None:
    """Start runs, and kill their process when all are in their second step."""
    with runners.started(*wanted) as process:
        wait_for(runners, len(wanted) // 2)
        process.send_signal(signal.SIGKILL)


def go(runners: Runners) -> None:
    """Let the second steps end."""
    (runners.folder / "go").touch()


def status(runners: Runners) -> list[tuple[object, ...]]:
    return query(runners.state, "SELECT run_id, status FROM runs ORDER BY run_id")


def change(runners: Runners, sql: str) -> None:
    """Change the database, as another server would."""
    with closing(sqlite3.connect(runners.state, timeout=30)) as raw, raw:
        raw.execute(sql)


def test_an_interrupted_run_resumes_under_its_id_with_what_is_on_the_disk_now(runners: Runners) -> None:
    text = flow(runners)
    killed(runners, text, "r1")
    assert status(runners) == [("r1", "RUNNING")]  # by the time of its lease; nobody has looked
    Path(text).write_text(Path(text).read_text().replace("echo two", "echo edited"))
    go(runners)
    assert reports(runners.run()) == {"r1": ("SUCCESS", "")}
    assert traces(runners) == ["one", "two", "edited"]
    assert runners.run() == []  # nothing is left to recover
    resumed = "SELECT json_extract(payload, '$.origin'), json_extract(payload, '$.recoveries') FROM events"
    assert query(runners.state, f"{resumed} WHERE event = 'run_resumed'") == [("serve", 1)]


def test_an_interrupted_run_of_a_bundle_resumes_with_its_bundle(runners: Runners) -> None:
    (runners.folder / "src").mkdir()
    Path(flow(runners)).rename(runners.folder / "src" / "entry.yaml")
    source = f"{{type: filesystem, base_path: {runners.folder}/src}}"
    parts = f"id: shop, source: {source}, entry_flow: entry.yaml, layout: {{flows_dir: .}}"
    manifest = runners.write("bundle.yaml", f"version: 1\nbundle: {{{parts}}}\n")
    killed(runners, manifest, "r1")
    entry = runners.folder / "src" / "entry.yaml"
    entry.write_text(entry.read_text().replace("echo two", "echo edited"))
    go(runners)
    assert reports(runners.run()) == {"r1": ("SUCCESS", "")}
    assert traces(runners) == ["one", "two", "edited"]


def test_of_two_servers_that_start_at_once_one_resumes_each_run(runners: Runners) -> None:
    text = flow(runners)
    names = [f"r{number}" for number in range(4)]
    killed(runners, *(word for name in names for word in (text, name)))
    go(runners)
    servers = [runners.start(), runners.start()]
    for server in servers:
        _, err = server.communicate(timeout=60)
        assert "Traceback" not in err
    assert status(runners) == [(name, "SUCCESS") for name in names]
    resumes = "SELECT count(*) FROM events WHERE event = 'run_resumed' GROUP BY run_id"
    assert query(runners.state, resumes) == [(1,)] * len(names)
    assert traces(runners).count("one") == len(names)
    assert traces(runners).count("two") == 2 * len(names)


def test_on_crash_fail_ends_the_run_with_a_reason_and_runs_nothing(runners: Runners) -> None:
    killed(runners, flow(runners, ", on_crash: fail"), "r1")
    assert reports(runners.run()) == {"r1": ("FAILED", "AF658")}
    assert traces(runners) == ["one", "two"]
    assert query(runners.state, "SELECT status, reason FROM runs") == [
        ("FAILED", "its server died while the run was executed (on_crash: fail)")
    ]
    assert query(runners.state, "SELECT step_id, status FROM step_state ORDER BY 1") == [
        ("one", "SUCCESS"),
        ("two", "FAILED"),
    ]
    go(runners)
    assert reports(runners.run(flow(runners), "r1")) == {"r1": ("SUCCESS", "")}  # it can still be resumed
    assert traces(runners) == ["one", "two", "two"]


def test_on_crash_leave_leaves_it_and_says_so(runners: Runners) -> None:
    killed(runners, flow(runners, ", on_crash: leave"), "r1")
    (reported,) = [change for change in runners.run() if change["report"]]
    assert (reported["status"], reported["report"]["code"]) == ("refused", "AF657")
    assert f"aetherflow runs retry r1 --state {runners.state}" in reported["report"]["hint"]
    assert query(runners.state, "SELECT status FROM run_state") == [("RUNNING",)]
    assert traces(runners) == ["one", "two"]


def test_a_run_that_a_person_began_or_went_on_with_is_not_a_server_s_to_recover(runners: Runners) -> None:
    text = flow(runners)
    killed(runners, text, "r1")
    for number, run_id in enumerate(["r1", "r2"], start=2):
        with person(runners, text, run_id) as process:
            wait_for(runners, number)
            process.send_signal(signal.SIGKILL)
    assert runners.run() == []
    assert query(runners.state, "SELECT run_id, status FROM run_state ORDER BY 1") == [
        ("r1", "RUNNING"),
        ("r2", "RUNNING"),
    ]


def person(runners: Runners, text: str, run_id: str) -> subprocess.Popen[str]:
    """Start `aetherflow run` as a person does."""
    return Popen(
        [COMMAND, "run", text, "--run-id", run_id],
        env=runners.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_run_that_kills_its_server_again_and_again_is_stopped(runners: Runners) -> None:
    text = flow(runners, second="kill -9 $PPID")
    with runners.started(text, "r1") as process:
        process.wait(timeout=60)
    deaths = 1
    code, out, err = -9, "", ""
    while code == -signal.SIGKILL:
        ended = runners.start()
        out, err = ended.communicate(timeout=60)
        code = ended.returncode
        deaths += code == -signal.SIGKILL
        assert deaths < 10
    assert deaths == 1 + 3  # the first time, and three recoveries
    assert ("AF658" in out, err) == (True, "")
    assert query(runners.state, "SELECT status, reason FROM runs") == [
        ("FAILED", "its server died 4 times in a row while the run was executed")
    ]
    assert traces(runners) == ["one", *["two"] * 4]


def test_a_flow_that_is_gone_leaves_its_run_interrupted_and_is_reported(runners: Runners) -> None:
    text = flow(runners)
    killed(runners, text, "r1")
    Path(text).unlink()
    (reported,) = [change for change in runners.run() if change["report"]]
    assert (reported["status"], "flow.yaml" in reported["report"]["reason"]) == ("refused", True)
    assert query(runners.state, "SELECT status FROM run_state") == [("RUNNING",)]


def test_a_server_resumes_runs_only_when_the_clocks_were_compared(runners: Runners) -> None:
    """By a clock that is an hour ahead, the leases of the runs of all other hosts have run out."""
    killed(runners, flow(runners), "r1")
    go(runners)
    item = "{id: a, at: '2099-01-01T00:00', flow_yaml: flow.yaml}"
    schedule = runners.write("scheduler.yaml", f"version: 1\nid: night\nitems:\n- {item}\n")
    late = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    other = f"('server:other', 'elsewhere', '1', '{late}', '{late}', 1)"
    columns = "(server, host, version, started_at, clock_at, beats)"
    change(runners, f"INSERT INTO servers {columns} VALUES {other}")
    with Popen([COMMAND, "serve", schedule, "--state", runners.state], env=runners.env) as server:
        try:
            wait_until(lambda: bool(query(runners.state, "SELECT 1 FROM schedulers")), "the file is served")
            time.sleep(2 * AGAIN_SECONDS)
            assert query(runners.state, "SELECT 1 FROM events WHERE event = 'run_resumed'") == []
            change(runners, "DELETE FROM servers WHERE server = 'server:other'")
            wait_until(lambda: status(runners) == [("r1", "SUCCESS")], "the run is resumed")
        finally:
            server.terminate()
