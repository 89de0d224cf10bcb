"""The demos run unchanged on two workers of a Dask cluster: their events differ in nothing but the place."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import CommandLine, no_trace

DEMO = Path(__file__).parents[2] / "demo"
SCRIPTS = (
    "demo/run.sh",
    "demo/usecase-multiflows-local/run.sh",
    "demo/usecase-multiflows-remote/run.sh",
    "demo/usecase-report/run.sh",
)
CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "TIME"),
    (re.compile(r"\"(mtime|size|bytes|total_bytes)\": \d+"), r"\1"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "SERVER"),
    (re.compile(r"(?<=\b)[0-9a-f]{12,64}\b"), "ID"),
)
"""Times, ports, ids, and the sizes of packed files that hold times, differ between any two runs."""
DIFFERS = {"duration_seconds", "owner", "began", "wait_seconds", "waited_seconds"}
PLACE = {"executor"}
"""What only a run on workers has, beside `step_placed`."""


def events_of(state: Path) -> Iterator[str]:
    """Yield the stored events of a database as texts, without what differs between any two runs."""
    with closing(sqlite3.connect(state)) as database:
        query = "SELECT run_id, event, job_id, step_id, payload FROM events ORDER BY run_id, seq"
        for run_id, *about, payload in database.execute(query):
            if about[0] != "step_placed":
                kept = {
                    key: value for key, value in json.loads(payload).items() if key not in DIFFERS | PLACE
                }
                text = json.dumps([about, kept], sort_keys=True, ensure_ascii=False).replace(run_id, "RUN")
                for pattern, word in CHANGING:
                    text = pattern.sub(word, text)
                yield text


def events_after(place: CommandLine, script: str, executor: str) -> dict[str, list[str]]:
    """Run a demo from its beginning; return its events by database, sorted: parallel jobs have no order."""
    shutil.rmtree(place.folder / "demo" / "output", ignore_errors=True)
    done = place.bash(f"sh {script}", env={"AETHERFLOW_EXECUTOR": executor, "DEMO_SHARE": "share_folder"})
    assert done.code == 0, done
    assert no_trace(done)
    return {path.name: sorted(events_of(path)) for path in states(place)}


def states(place: CommandLine) -> list[Path]:
    """Return the state databases of a demo."""
    return sorted((place.folder / "demo" / "output").glob("**/state/*.sqlite"))


def placed(place: CommandLine) -> dict[str, set[str]]:
    """Return the workers on which steps ran, by step, and those that ran in the process of the run."""
    found: dict[str, set[str]] = {}
    for path in states(place):
        with closing(sqlite3.connect(path)) as database:
            query = "SELECT event, job_id, step_id, payload FROM events WHERE event IN (?, ?)"
            for event, job, step, payload in database.execute(query, ("step_started", "step_placed")):
                workers = found.setdefault(f"{job}.{step}", set())
                if event == "step_placed":
                    workers.add(json.loads(payload)["worker"])
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_demo_on_workers_differs_from_a_local_run_in_nothing_but_the_place(
    cli: CommandLine, script: str
) -> None:
    shutil.copytree(DEMO, cli.folder / "demo", ignore=shutil.ignore_patterns("output"))
    (cli.folder / ".venv").symlink_to(sys.prefix)

    local: Any = events_after(cli, script, "local")
    assert all(local.values())
    assert all(not workers for workers in placed(cli).values())
    on_workers = events_after(cli, script, "dask")

    for name, events in local.items():
        assert [one for one in on_workers[name] if one not in events] == []
        assert on_workers[name] == events
    assert set().union(*placed(cli).values()) in ({"worker-1"}, {"worker-2"}, {"worker-1", "worker-2"})
    assert [step for step, workers in placed(cli).items() if not workers and "@" not in step] == []
