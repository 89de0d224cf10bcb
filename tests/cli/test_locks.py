"""Runs and jobs that exclude each other, with real processes; `locks list` and `locks release`."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, Result, Running, flow, lives, no_trace
from tests.polling import wait_until

STEP = """
- id: s
  type: external.process
  inputs: {command: [sh, -c, 'echo up; until test -e "$0"; do sleep 0.02; done', "{{env.GO}}"]}
"""
ONE_RUN = flow(STEP, "flow: {id: f, locks: {scope: flow}}")
ONE_JOB = flow(STEP, "flow: {id: f, locks: {scope: job}}")
WITH_LOCK = flow(
    """
- id: s
  type: with_lock
  inputs:
    lock_key: key
    ttl_seconds: 60
    step:
      id: inner
      type: external.process
      inputs: {command: [sh, -c, 'echo up; until test -e "$0"; do sleep 0.02; done', "{{env.GO}}"]}
"""
)
JSON = ("--log-format", "json")


@contextmanager
def running(cli: CommandLine, text: str, run_id: str = "first") -> Iterator[Running]:
    """Run a flow up to its step, which waits for the file `go`."""
    cli.env["GO"] = str(cli.folder / "go")
    cli.write("flow.yaml", text)
    with cli.start("run", "flow.yaml", "--run-id", run_id, *JSON) as run:
        run.event("step_output", text="up")
        yield run


def go(cli: CommandLine, run: Running) -> Result:
    """Let the step end, and wait for the run."""
    (cli.folder / "go").touch()
    return run.end()


def killed(cli: CommandLine, text: str) -> None:
    """Run a flow and kill its process, with the lock in its hand."""
    with running(cli, text) as run:
        children = [
            int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _has_parent(p, run.pid)
        ]
        run.send(signal.SIGKILL)
        run.end()
    wait_until(lambda: not any(map(lives, children)))


def _has_parent(process: Path, pid: int) -> bool:
    try:
        stat = (process / "stat").read_bytes()
    except OSError:
        return False
    return int(stat.rpartition(b")")[2].split()[1]) == pid


def held(cli: CommandLine) -> list[str]:
    """Return the names of the locks that are held."""
    return [lock["lock_key"] for lock in cli.run("locks", "list", "--json").json()["locks"]]


def test_a_second_run_of_the_flow_is_refused_and_leaves_nothing_behind(cli: CommandLine) -> None:
    with running(cli, ONE_RUN) as first:
        refused = cli.run("run", "flow.yaml", "--run-id", "second", *JSON)
        assert held(cli) == ["flow:f"]
        result = go(cli, first)

    assert (refused.code, refused.out) == (75, "")
    assert "error[AF620]: one run of the flow f at a time" in refused.err
    assert f"held by f, run first (process {first.pid} on " in refused.err
    assert " since 20" in refused.err
    assert f"or end it: aetherflow runs cancel first --state {cli.state}\n" in refused.err
    assert "locks release" not in refused.err
    assert result.code == 0
    assert cli.query("select run_id from runs") == [("first",)]
    assert cli.query("select distinct run_id from events") == [("first",)]
    assert cli.run("run", "flow.yaml", "--run-id", "second").code == 0
    assert held(cli) == []


def test_a_flow_of_another_name_is_not_kept_out(cli: CommandLine) -> None:
    with running(cli, ONE_RUN) as first:
        cli.write(
            "other.yaml", flow("- {id: s, type: check_items, inputs: {items: [1]}}").replace("f}", "g}")
        )
        assert cli.run("run", "other.yaml").code == 0
        assert go(cli, first).code == 0


def test_a_wait_for_a_lock_is_shown_while_it_lasts_and_after_it(cli: CommandLine) -> None:
    waits = WITH_LOCK.replace("ttl_seconds: 60", "wait_seconds: 60")
    cli.write("waits.yaml", waits)
    with running(cli, WITH_LOCK) as first, cli.start("run", "waits.yaml", "--run-id", "second", *JSON) as run:
        event = run.event("lock_awaited", lock="key")
        shown, why = cli.run("runs", "show", "second").out, cli.run("explain", "second", "a.s").out
        of_job, of_run = (cli.run("explain", "second", *part).out for part in (["a"], []))
        assert go(cli, first).code == run.end().code == 0

    assert event["held_by"] == "f, run first, a.s"
    assert "waits for the lock key, held by f, run first, a.s since 20" in shown
    assert "It waits for the lock key, held by f, run first, a.s since 20" in " ".join(why.split())
    for text in (of_job, of_run):
        assert "Step a.s waits for the lock key, held by f, run first, a.s since 20" in " ".join(text.split())
    assert "It waited " in cli.run("explain", "second", "a.s").out
    assert "waits for" not in cli.run("explain", "second").out
    assert "s for the lock key, held by" in cli.run("runs", "show", "second").out


def test_a_job_that_runs_elsewhere_fails_and_names_the_holder(cli: CommandLine) -> None:
    with running(cli, ONE_JOB) as first:
        refused = cli.run("run", "flow.yaml", "--run-id", "second", *JSON)
        assert held(cli) == ["job:f/a"]
        result = go(cli, first)

    assert refused.code == 75, refused
    (error,) = (line["error"] for line in refused.lines() if line["event"] == "job_finished")
    assert error["code"] == "AF620"
    assert f"'job:f/a' is held by f, run first, a (process {first.pid} on " in error["message"]
    assert result.code == 0
    assert cli.query("select run_id, status from runs order by 1") == [
        ("first", "SUCCESS"),
        ("second", "FAILED"),
    ]
    assert cli.run("run", "flow.yaml", "--run-id", "second").code == 0


@pytest.mark.parametrize("text", [ONE_RUN, ONE_JOB, WITH_LOCK], ids=["flow", "job", "with_lock"])
@pytest.mark.parametrize("run_id", ["first", "another"])
def test_a_killed_run_blocks_neither_its_own_resumption_nor_another_run(
    cli: CommandLine, text: str, run_id: str
) -> None:
    killed(cli, text)
    assert len(held(cli)) == 1
    (cli.folder / "go").touch()

    result = cli.run("run", "flow.yaml", "--run-id", run_id)

    assert result.code == 0, result
    assert held(cli) == []


def test_the_lock_of_a_killed_process_of_another_host_is_free_for_its_own_run(cli: CommandLine) -> None:
    killed(cli, ONE_RUN)
    state = sqlite3.connect(cli.state)
    with state:  # as a container that was started again sees it: the run's lease is over, the lock's is not
        state.execute("update leases set owner = json_set(owner, '$.host', 'elsewhere')")
        state.execute("update leases set expires_at = acquired_at where name = 'run:first'")
    state.close()
    (cli.folder / "go").touch()

    other = cli.run("run", "flow.yaml", "--run-id", "other")
    own = cli.run("run", "flow.yaml", "--run-id", "first")

    assert other.code == 75, other
    released = f"aetherflow locks release flow:f --force --state {cli.state}"
    assert f"if its machine is gone: {released}\n" in other.err
    assert own.code == 0, own


def test_a_dead_holder_is_released_without_force(cli: CommandLine) -> None:
    killed(cli, ONE_RUN)
    assert held(cli) == ["flow:f"]
    assert cli.run("locks", "list", "--json").json()["locks"][0]["validity"] == "dead"
    assert (
        "that process has ended: the next step that requests the lock gets it\n"
        in cli.run("locks", "list").out
    )

    result = cli.run("locks", "release", "flow:f")

    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("released the lock flow:f; it was held by f, run first (process ")
    assert "whose process has ended" in result.out
    assert held(cli) == []
    again = cli.run("locks", "release", "flow:f")
    assert again.code == 2
    assert "nobody holds a lock 'flow:f'" in again.err


def test_a_live_holder_keeps_its_lock_unless_it_is_forced(cli: CommandLine) -> None:
    with running(cli, WITH_LOCK) as run:
        refused = cli.run("locks", "release", "key")
        assert refused.code == 75, refused
        assert f"'key' is held by f, run first, a.s (process {run.pid} on " in refused.err
        assert f"end its run: aetherflow runs cancel first --state {cli.state}; with --force" in refused.err
        assert "the next step that requests" not in cli.run("locks", "list").out
        assert held(cli) == ["key"]

        forced = cli.run("locks", "release", "key", "--force", "--json")
        result = run.end()  # nobody has let the step go: it ends because its lock is lost

    assert forced.code == 0, forced
    assert forced.json()["was"] == "live"
    assert forced.json()["owner"].startswith(f"process {run.pid} on ")
    assert result.code == 1
    assert cli.query("select json_extract(error, '$.code') from step_state") == [("AF621",)]
    assert no_trace(result)


def test_a_run_whose_flow_lock_was_taken_by_force_stops_and_can_be_resumed(cli: CommandLine) -> None:
    with running(cli, ONE_RUN) as run:
        assert cli.run("locks", "release", "flow:f", "--force").code == 0
        result = run.end()

    assert result.code == 75, result
    assert "AF611" in result.err
    assert cli.query("select status from runs") == [("INTERRUPTED",)]
    (cli.folder / "go").touch()
    assert cli.run("run", "flow.yaml", "--run-id", "first").code == 0


def test_an_unknown_lock_cannot_be_released(cli: CommandLine) -> None:
    with running(cli, ONE_RUN) as run:
        result = cli.run("locks", "release", "nobody", "--force")
        assert go(cli, run).code == 0

    assert (result.code, result.out) == (2, "")
    assert "nobody holds a lock 'nobody'" in result.err
