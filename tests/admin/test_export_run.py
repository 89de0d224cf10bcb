"""An export that a signal ends leaves nothing behind: no half file, and no hidden one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

STOPPED = """
import os, sys
from pathlib import Path
import anyio
from aetherflow.admin import export_run
from aetherflow.stop_signals import end_at_once

async def stopped_while_it_writes(*_):
    print(os.listdir())
    os.kill(os.getpid(), int(sys.argv[1]))
    await anyio.sleep_forever()

export_run.write_run = stopped_while_it_writes
end_at_once()
anyio.run(export_run.export_run, None, "r", "jsonl", Path("r.jsonl"), export_run.Surroundings({}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_part_of_a_file(tmp_path: Path, number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-u", "-c", STOPPED, str(int(number))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 128 + number, done.stderr
    assert ".r.jsonl." in done.stdout, "it was being written"
    assert list(tmp_path.iterdir()) == []
