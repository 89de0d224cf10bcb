"""The folder of a worker: its own, private, and removed by the next worker if this one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aetherflow.worker.own_folder import attempt_folder, own_folder

MAKE = "from aetherflow.worker.own_folder import own_folder\nprint(own_folder(), flush=True)\ninput()"


def other_worker(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has made its folder, and waits; the caller ends it."""
    worker = subprocess.Popen(
        [sys.executable, "-c", MAKE],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    return worker, Path(worker.stdout.readline().rstrip("\n"))


def test_what_a_killed_worker_left_is_removed_and_not_what_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = tmp_path / "not there yet"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own_folder()
    tmp_path = tmp_path.parent / "used"
    tmp_path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, left = other_worker(tmp_path)
    living, used = other_worker(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.is_dir()
        own = own_folder()
        assert own == own_folder() == attempt_folder().parent
        assert own.stat().st_mode & 0o777 == 0o700
        assert sorted(tmp_path.iterdir()) == sorted([own, used])
        living.communicate("\n")
        assert list(tmp_path.iterdir()) == [own]
    finally:
        for worker in (killed, living):
            worker.kill()
            worker.communicate()
