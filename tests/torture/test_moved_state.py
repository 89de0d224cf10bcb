"""A state database that is moved, deleted or replaced while the real command uses it.

The run stops within the second of a heartbeat, or at its next commit, and says what happened. A second
process with the same run id, started at that moment, does not execute it beside the first for longer.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.store.run_lease import LOOK_SECONDS
from tests.polling import POLL_SECONDS, wait_until
from tests.sizes import LARGE
from tests.torture.processes import query
from tests.warm_start import COMMAND, Popen

pytestmark = pytest.mark.torture

Record = Callable[[str, object], None]

MARGIN_SECONDS = 10.0
"""For a busy machine: how much later than promised an effect may happen."""


def parts_of(state: Path) -> list[Path]:
    return [state, *(state.with_name(state.name + end) for end in ("-wal", "-shm"))]


def move_file(state: Path) -> None:
    state.rename(state.with_name("moved.sqlite"))


def move_all(state: Path) -> None:
    for part in parts_of(state):
        part.rename(part.with_name(part.name.replace("state", "moved")))


def delete_file(state: Path) -> None:
    state.unlink()


def delete_all(state: Path) -> None:
    for part in parts_of(state):
        part.unlink()


def delete_folder(state: Path) -> None:
    shutil.rmtree(state.parent)


def rename_folder(state: Path) -> None:
    state.parent.rename(state.parent.with_name("renamed"))


def replace_by_backup(state: Path) -> None:
    """Put a backup in place, as a restore does: the database without its log."""
    source, backup = sqlite3.connect(state), state.with_name("backup.sqlite")
    source.execute(f"VACUUM INTO '{backup}'")
    source.close()
    backup.replace(state)


def point_link_elsewhere(state: Path) -> None:
    """Let the link at the path lead to another database."""
    link = state.with_name("link")
    link.symlink_to(state.with_name("other.sqlite"))
    link.replace(state)


def point_folder_elsewhere(state: Path) -> None:
    """Let the link to the folder lead to another one."""
    other, link = state.parent.with_name("other"), state.parent.with_name("link")
    other.mkdir()
    link.symlink_to(other)
    link.replace(state.parent)


def delete_log(state: Path) -> None:
    parts_of(state)[1].unlink()


def delete_index(state: Path) -> None:
    parts_of(state)[2].unlink()


LEAVE_THE_LOG = (move_file, delete_file)
"""What leaves the log of the database at its place: SQLite would delete it for a new database."""


def put_back(state: Path) -> None:
    """Put a moved file back beside its log; delete what is left of one that was deleted."""
    moved = state.with_name("moved.sqlite")
    if moved.exists():
        moved.rename(state)
    else:
        for part in parts_of(state):
            part.unlink(missing_ok=True)


CHANGES = [delete_folder, replace_by_backup]
if LARGE:
    CHANGES += [delete_log, rename_folder, move_file, move_all, delete_file, delete_all, delete_index]
    CHANGES += [point_link_elsewhere, point_folder_elsewhere]

ROUNDS = 30 if LARGE else 1
STEPS = 150


def write_flow(folder: Path, state: Path, *steps: str) -> Path:
    flow = folder / "flow.yaml"
    flow.write_text(
        f"version: 1\nflow: {{id: moved, state: {{path: {state}}}, workspace: {{root: {folder}/work}}}}\n"
        "jobs:\n  - id: a\n    steps:\n" + "".join(f"      - {step}\n" for step in steps)
    )
    return flow


def quick(count: int) -> list[str]:
    return [f"{{id: q{n}, type: check_items, inputs: {{items: [x]}}}}" for n in range(count)]


def marking(folder: Path) -> str:
    """Return a step that leaves a mark with the time every 20 ms until there is a file `go`."""
    work = f'while echo "$TAG $(date +%s.%N)" >> {folder}/marks; [ ! -e {folder}/go ]; do sleep 0.02; done'
    return f"{{id: slow, type: external.process, inputs: {{command: [sh, -c, '{work}']}}}}"


def held(folder: Path) -> str:
    """Return a step that waits for a file `go`: the run does not end before its database is moved."""
    wait = f"until [ -e {folder}/go ]; do sleep 0.02; done"
    return f"{{id: held, type: external.process, inputs: {{command: [sh, -c, '{wait}']}}}}"


def start(flow: Path, tag: str) -> subprocess.Popen[str]:
    return Popen(
        [COMMAND, "run", flow, "--run-id", "r", "--log-format", "json"],
        env={**os.environ, "TAG": tag},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def marks_of(folder: Path, tag: str) -> list[float]:
    """Return when a process left its marks."""
    if not (folder / "marks").exists():
        return []
    lines = [line.partition(" ") for line in (folder / "marks").read_text().splitlines()]
    return [float(when) for who, _, when in lines if who == tag and when]


def shown_by(out: str) -> set[str]:
    """Return the steps whose end a process has shown."""
    records = [json.loads(line) for line in out.splitlines()]
    return {one["step_id"] for one in records if one["event"] == "step_finished"}


def successes(state: Path) -> Counter[object]:
    """Return how often each step has a stored SUCCESS."""
    rows = query(
        state,
        "SELECT step_id FROM events WHERE event = 'step_finished' "
        "AND json_extract(payload, '$.status') = 'SUCCESS'",
    )
    return Counter(step for (step,) in rows)


def check_the_message(done: subprocess.Popen[str], err: str, state: Path) -> None:
    """Assert that the process says what happened, where, and what to do."""
    assert done.returncode == 1, err
    assert err.startswith("error[AF614]: run r stopped: the "), err
    assert f"state database {state}" in err
    assert "    hint: nothing more is written; " in err
    assert f"then resume: aetherflow runs retry r --state {state}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_run_whose_database_is_taken_away_stops_before_another_executes_it_for_long(
    change: Callable[[Path], None], tmp_path: Path, record_property: Record
) -> None:
    folder, real = tmp_path / "state", tmp_path / "real"
    real.mkdir()
    if change is point_folder_elsewhere:
        folder.symlink_to(real)
    else:
        folder.mkdir()
    state = folder / "state.sqlite"
    if change is point_link_elsewhere:
        state.symlink_to(real / "state.sqlite")
    flow = write_flow(tmp_path, state, *quick(3), marking(tmp_path))
    first = start(flow, "first")
    wait_until(lambda: len(marks_of(tmp_path, "first")) > 3)

    changed = time.time()
    change(state)
    second = start(flow, "second")
    _, said_first = first.communicate(timeout=60)  # its step does not end by itself
    (tmp_path / "go").touch()
    _, said_second = second.communicate(timeout=60)
    last = marks_of(tmp_path, "first")[-1] - changed
    together = [mark for mark in marks_of(tmp_path, "second") if mark < changed + last]

    check_the_message(first, said_first, state)
    assert last <= LOOK_SECONDS + MARGIN_SECONDS
    assert "Traceback" not in said_second
    if change in LEAVE_THE_LOG:
        assert second.returncode == 2
        assert "with content of a database that was moved or deleted" in said_second
        put_back(state)
    else:
        assert second.returncode in (0, 75), said_second
    again = start(flow, "again")
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert query(state, "PRAGMA integrity_check") == [("ok",)]
    assert successes(state) == Counter(["q0", "q1", "q2", "slow"])
    record_property(
        "torture",
        f"{change.__name__}: the last effect of the first process {last:.2f} s after it, {len(together)} "
        f"effects of the second before that, exit codes {first.returncode} and {second.returncode}",
    )


def test_what_was_acknowledged_is_in_the_file_that_was_moved_and_nothing_comes_after(
    tmp_path: Path, record_property: Record
) -> None:
    acknowledged = stored_in_all = 0
    for number in range(ROUNDS):
        home = tmp_path / str(number)
        state = home / "state" / "state.sqlite"
        state.parent.mkdir(parents=True)
        flow = write_flow(home, state, *quick(STEPS), held(home))
        process = start(flow, "")
        while len(successes(state)) <= number:
            time.sleep(POLL_SECONDS)

        rename_folder(state)
        out, err = process.communicate(timeout=60)
        moved = state.parent.with_name("renamed") / state.name
        shown, stored = shown_by(out), successes(moved)
        check_the_message(process, err, state)
        assert not state.exists()
        assert shown <= stored.keys(), "an acknowledged step is not where the file is"

        shutil.rmtree(state.parent, ignore_errors=True)
        moved.parent.rename(state.parent)
        (home / "go").touch()
        done = start(flow, "")
        _, err = done.communicate(timeout=60)
        assert done.returncode == 0, err
        assert successes(state) == Counter(["held", *(f"q{n}" for n in range(STEPS))]), "repeated or lost"
        assert query(state, "PRAGMA integrity_check") == [("ok",)]
        acknowledged += len(shown)
        stored_in_all += len(stored)
    record_property(
        "torture",
        f"{ROUNDS} folders renamed during commits: {acknowledged} steps acknowledged, {stored_in_all} "
        "stored, 0 lost, 0 repeated",
    )
