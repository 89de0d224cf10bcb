"""A small file system that fills up and a disk that reports errors, under the state of the real command.

What was acknowledged (shown in the log) is stored, the database is sound, the message names the file and the
command that resumes, and once the disk is well the run resumes without repeating anything.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import warm_start
from tests.sizes import LARGE
from tests.torture.processes import query
from tests.warm_start import COMMAND

STEPS = 60
PASSES = {
    "write": range(0, 400, 10) if LARGE else (0, 9, 100, 250),
    "sync": range(66) if LARGE else (0, 2, 20, 45),
}
"""How many calls succeed before the disk breaks: while the database is made, and at a step's commit."""

Record = Callable[[str, object], None]

pytestmark = pytest.mark.torture


def write_flow(folder: Path, state: Path) -> Path:
    """Write a flow of one job with many small steps whose outputs take up room."""
    steps = "".join(
        f"      - {{id: s{n}, type: check_items, inputs: {{items: [x]}}, outputs: {{o{n}: '{'x' * 500}'}}}}\n"
        for n in range(STEPS)
    )
    flow = folder / "flow.yaml"
    flow.write_text(
        f"version: 1\nflow: {{id: disk, state: {{path: {state}}}, workspace: {{root: {folder}/work}}}}\n"
        f"jobs:\n  - id: a\n    steps:\n{steps}"
    )
    return flow


def run(flow: Path, run_id: str, **env: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the command; return it and the steps that it has shown as done."""
    done = warm_start.run(
        [COMMAND, "run", flow, "--run-id", run_id, "--log-format", "json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    shown = {one["step_id"] for one in records if one["event"] == "step_finished"}
    return done, shown


def successes(state: Path, run_id: str) -> Counter[str]:
    """Return how often each step has a stored SUCCESS."""
    rows = query(
        state,
        "SELECT step_id, count(*) FROM events WHERE run_id = ? AND event = 'step_finished' "
        "AND json_extract(payload, '$.status') = 'SUCCESS' GROUP BY 1",
        run_id,
    )
    return Counter({str(step): int(str(count)) for step, count in rows})


def check_the_failure(state: Path, run_id: str, done: subprocess.CompletedProcess[str], why: str) -> None:
    """Assert that the command says what it could not do, and how to resume."""
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert f"the state database {state} cannot be used: {why}" in done.stderr
    assert "hint: " in done.stderr
    if done.returncode == 1:  # 2: the run had not begun
        assert f"run {run_id} stopped: " in done.stderr
        begun = query(state, "SELECT 1 FROM run_state WHERE run_id = ?", run_id) != []
        command = f"then resume: aetherflow runs retry {run_id} --state {state}"
        assert (command in done.stderr.splitlines()[-1]) == begun


def check_what_is_stored(state: Path, run_id: str, shown: set[str]) -> Counter[str]:
    """Assert that the database is sound and holds what was shown; return what it holds."""
    if state.exists() and state.stat().st_size:
        assert query(state, "PRAGMA integrity_check") == [("ok",)]
    stored = successes(state, run_id)
    assert shown <= stored.keys(), "an acknowledged step is gone"
    return stored


@pytest.fixture
def one_megabyte(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}; ENOSPC is injected by the test below")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_file_system_loses_nothing_and_the_run_resumes_when_there_is_room(
    one_megabyte: Path, tmp_path: Path, record_property: Record
) -> None:
    state = one_megabyte / "state.sqlite"
    flow = write_flow(tmp_path, state)

    done, shown = run(flow, "full")
    check_the_failure(state, "full", done, "the disk is full")
    kept = check_what_is_stored(state, "full", shown)
    assert 0 < len(kept) < STEPS
    again, _ = run(flow, "full")
    assert again.returncode in (1, 2), "it is still full"
    check_what_is_stored(state, "full", set(kept))

    subprocess.run(["mount", "-o", "remount,size=20m", one_megabyte], check=True)
    healed, _ = run(flow, "full")
    assert healed.returncode == 0, healed.stderr
    assert successes(state, "full") == Counter(f"s{n}" for n in range(STEPS))
    record_property(
        "torture",
        f"full file system of 1 MB: {len(shown)} steps acknowledged, {len(kept)} stored, 0 lost, 0 repeated",
    )


def test_on_a_full_file_system_a_prune_says_what_may_go_by_hand_and_then_works(
    one_megabyte: Path, tmp_path: Path
) -> None:
    state = one_megabyte / "state.sqlite"
    flow = tmp_path / "noisy.yaml"
    flow.write_text(
        f"version: 1\nflow: {{id: noisy, state: {{path: {state}}}, workspace: {{root: {tmp_path}/work}}}}\n"
        "jobs:\n  - id: a\n    steps:\n      - id: s\n        type: external.process\n"
        "        inputs: {command: [sh, -c, 'head -c 300000 /dev/zero | tr \"\\\\0\" x']}\n"
    )
    assert run(flow, "noisy")[0].returncode == 0
    rest = ["sh", "-c", 'cat /dev/zero > "$0"', str(one_megabyte / "other.bin")]
    assert subprocess.run(rest, capture_output=True, check=False).returncode != 0
    prune = [str(COMMAND), "runs", "prune", "--keep-runs", "0", "--state", str(state)]

    refused = warm_start.run(prune, capture_output=True, text=True, check=False)
    logs = list((one_megabyte / "state.logs").rglob("*.log"))
    for log in logs:
        log.unlink()
    done = warm_start.run(prune, capture_output=True, text=True, check=False)

    assert refused.returncode == 2, refused
    assert "cannot be used: the disk is full, its index has no room there" in refused.stderr
    assert f"the *.log files below {one_megabyte}/state.logs may be deleted by hand" in refused.stderr
    assert len(logs) == 1
    assert (done.returncode, "1 run deleted" in done.stdout) == (0, True), done


def test_a_database_on_a_file_system_that_is_mounted_read_only_can_be_looked_at(
    one_megabyte: Path, tmp_path: Path
) -> None:
    state, flow = one_megabyte / "state.sqlite", tmp_path / "dies.yaml"
    flow.write_text(
        f"version: 1\nflow: {{id: dies, state: {{path: {state}}}, workspace: {{root: {tmp_path}/work}}}}\n"
        "jobs:\n  - id: a\n    steps:\n      - id: s\n        type: external.process\n"
        "        inputs: {command: [sh, -c, 'kill -9 $PPID; sleep 1']}\n"
    )
    assert run(flow, "dead")[0].returncode == -9  # it leaves its log and the index of that
    for left in ("-wal", "-shm"):
        assert state.with_name(f"state.sqlite{left}").exists()
    subprocess.run(["mount", "-o", "remount,ro", one_megabyte], check=True)

    def tried(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), *words, "--state", str(state)]
        return warm_start.run(command, capture_output=True, text=True, check=False)

    listed, shown, changed = (
        tried("runs", "list"),
        tried("runs", "show", "dead"),
        tried("pools", "set", "p", "2"),
    )
    refused, _ = run(flow, "new")
    subprocess.run(["mount", "-o", "remount,rw", one_megabyte], check=True)

    (line,) = [line.split() for line in listed.stdout.splitlines() if " dead " in line]
    assert (listed.returncode, "INTERRUPTED" in line) == (0, True), listed
    assert (shown.returncode, "interrupted: a.s" in shown.stdout) == (0, True), shown
    for done in (changed, refused):
        assert done.returncode == 2
        assert f"{state} cannot be used: its file system is mounted read-only" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def faulty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets calls fail, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler, so the disk cannot fail here (Debian: apt-get install gcc libc6-dev)")
    library = tmp_path_factory.mktemp("faulty") / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize(
    ("error", "why"), [(errno.EIO, "the disk reported an error"), (errno.ENOSPC, "the disk")]
)
def test_errors_of_the_disk_lose_nothing_and_the_run_resumes_when_it_is_well(
    call: str, error: int, why: str, faulty_disk: Path, tmp_path: Path, record_property: Record
) -> None:
    kept_in_all = acknowledged = 0
    passes = list(PASSES[call])[-1 if error == errno.ENOSPC else 0 :]
    for after in passes:
        folder = tmp_path / str(after)
        folder.mkdir()
        state = folder / "state.sqlite"
        flow = write_flow(folder, state)
        fault = {"FAULT_PATH": str(state), "FAULT_CALL": call, "FAULT_AFTER": str(after)}

        done, shown = run(flow, "r", LD_PRELOAD=str(faulty_disk), FAULT_ERRNO=str(error), **fault)
        check_the_failure(state, "r", done, why)
        kept = check_what_is_stored(state, "r", shown)
        healed, _ = run(flow, "r")

        assert healed.returncode == 0, healed.stderr
        assert successes(state, "r") == Counter(f"s{n}" for n in range(STEPS)), "repeated or lost"
        assert query(state, "PRAGMA integrity_check") == [("ok",)]
        acknowledged += len(shown)
        kept_in_all += len(kept)
    assert acknowledged > 0
    record_property(
        "torture",
        f"{errno.errorcode[error]} of {call}, from call {', '.join(map(str, passes))} on: "
        f"{acknowledged} steps acknowledged, {kept_in_all} stored, 0 lost, 0 repeated",
    )


LOOKS = (
    ("runs", "list", "--state"),
    ("runs", "show", "r", "--state"),
    ("locks", "list", "--state"),
    ("pools", "set", "p", "2", "--state"),
    ("runs", "prune", "--keep-runs", "0", "--dry-run", "--state"),
)


@pytest.mark.parametrize("after", range(0, 40, 2) if LARGE else (1, 14))
def test_a_disk_that_cannot_be_read_is_not_taken_for_a_damaged_database(
    after: int, faulty_disk: Path, tmp_path: Path, record_property: Record
) -> None:
    state = tmp_path / "state.sqlite"
    flow = write_flow(tmp_path, state)
    assert run(flow, "r")[0].returncode == 0
    broken = {"LD_PRELOAD": str(faulty_disk), "FAULT_CALL": "read", "FAULT_AFTER": str(after)}
    failed = 0
    for words in (*LOOKS, ("run", str(flow), "--run-id", "s")):
        command = [COMMAND, *words] + ([state] if words[-1] == "--state" else [])
        done = subprocess.run(
            command,
            env={**os.environ, **broken, "FAULT_PATH": str(state)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, 1, 2), done.stderr
        if done.returncode:
            failed += 1
            assert f"the state database {state} cannot be used: the disk reported an error" in done.stderr
            assert "system log (dmesg)" in done.stderr
        for advice in ("Traceback", "damaged", "backup", "move", "delete"):
            assert advice not in done.stderr
    assert query(state, "PRAGMA integrity_check") == [("ok",)]
    assert run(flow, "s")[0].returncode == 0
    record_property(
        "torture", f"EIO of read from call {after} on: {failed} commands failed, 0 advised to restore"
    )


def test_only_a_database_that_its_check_finds_damaged_is_called_so(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    flow = write_flow(tmp_path, state)
    assert run(flow, "r")[0].returncode == 0
    with state.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (state.stat().st_size - 4096))

    done, _ = run(flow, "s")
    doctor = warm_start.run([COMMAND, "doctor", flow], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "it is damaged, PRAGMA integrity_check says: " in done.stderr
    assert "restore it from a backup" in done.stderr
    assert doctor.returncode == 2
    assert "it is damaged" in doctor.stdout + doctor.stderr
