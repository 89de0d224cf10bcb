"""What runs under one lock never overlaps: holders paused beyond their lease, and many that contend."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from aetherflow.store.sqlite_lock_owner import who_locks
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, marked, query, said, start

PAUSES = 50 if LARGE else 4
CONTENDERS, TURNS = 4, 25 if LARGE else 2
TTL_SECONDS = 0.3

pytestmark = pytest.mark.torture


def write_flow(folder: Path, script: str) -> tuple[Path, Path]:
    """Write a flow that runs a script under a lock; return the flow and its database."""
    flow, database = folder / "flow.yaml", folder / "state.sqlite"
    flow.write_text(
        f"""
version: 1
flow: {{id: locked, state: {{path: {database}}}, workspace: {{root: {folder}/work}}}}
jobs:
  - id: a
    steps:
      - id: s
        type: with_lock
        inputs:
          lock_key: the one
          ttl_seconds: {TTL_SECONDS}
          wait_seconds: 60
          step:
            id: inner
            type: external.process
            inputs:
              command: [sh, -c, '{script}', sh, "{{{{run_id}}}}"]
              kill_grace_seconds: 0.1
"""
    )
    return flow, database


def pause(pid: int, database: Path) -> None:
    """Stop a process, not in the middle of a transaction: then nobody else could write, until it is woken."""
    os.kill(pid, signal.SIGSTOP)
    while who_locks(database):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)


def test_a_paused_holder_that_lost_its_lock_is_stopped_before_it_works_on(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    diary, gate = tmp_path / "diary", tmp_path / "gate"
    enter, leave = f'echo "enter $1" >> {diary}', f'echo "leave $1" >> {diary}'
    script = f"{enter}; until [ -e {gate} ]; do sleep 0.02; done; {leave}"
    flow, database = write_flow(tmp_path, script)
    for turn in range(PAUSES):
        diary.write_text("")
        gate.unlink(missing_ok=True)
        first, second = (f"{name}-{turn}-{UNIQUE}" for name in ("first", "second"))
        holder = start(flow, first)
        wait_until(lambda run=first: diary.read_text() == f"enter {run}\n", "the first holds the lock")  # type: ignore[misc]  # mypy infers no lambda defaults
        for pid in (holder.pid, *marked(first)):
            with suppress(ProcessLookupError):  # a short sleep of the script
                os.kill(pid, signal.SIGSTOP)
        time.sleep(3 * TTL_SECONDS)  # the pause itself, nothing is waited for
        gate.touch()
        assert start(flow, second).wait(60) == 0, said(flow, second)
        assert diary.read_text() == f"enter {first}\nenter {second}\nleave {second}\n"

        os.kill(holder.pid, signal.SIGCONT)
        assert holder.wait(60) == 1, said(flow, first)

        assert marked(first) == []
        assert diary.read_text().count("\n") == 3, "the first has worked on"
        error = query(database, "SELECT json_extract(error, '$.code') FROM job_state WHERE run_id = ?", first)
        assert error == [("AF621",)]
    record_property(
        "torture", f"locks: {PAUSES} holders paused for 3 x ttl, taken over, woken: 0 worked on, 0 overlaps"
    )


def test_what_runs_under_a_lock_never_overlaps(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    diary = tmp_path / "diary"
    script = f'echo "enter $1" >> {diary}; sleep 0.05; echo "leave $1" >> {diary}'
    flow, database = write_flow(tmp_path, script)
    sections = 0
    for turn in range(TURNS):
        diary.write_text("")
        names = [f"contender-{turn}-{number}-{UNIQUE}" for number in range(CONTENDERS)]
        contenders = [start(flow, name) for name in names]
        codes = [contender.wait(90) for contender in contenders]
        assert codes == [0] * CONTENDERS, [said(flow, name) for name in names]
        lines = diary.read_text().splitlines()
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        assert all(before == after.replace("leave", "enter") for before, after in pairs), lines
        assert sorted(lines[::2]) == sorted(f"enter {name}" for name in names)
        sections += len(pairs)
    generations = query(database, "SELECT max(generation) FROM leases WHERE name = 'lock:the one'")
    assert generations == [(sections,)], "each holder has a generation of its own"
    record_property(
        "torture", f"locks: {sections} critical sections of {CONTENDERS} processes at once, 0 overlaps"
    )
