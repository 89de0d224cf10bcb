"""`aetherflow worker` may be asked to stop at any moment, also while it begins or ends to wait."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """\
import signal
from aetherflow_dask.worker_process import Asked

asked = Asked()
signal.signal(signal.SIGALRM, lambda *_: asked.set())
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
while not asked.is_set():
    asked.wait(60)
for _ in range(20_000):
    asked.wait(60)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_a_signal_in_the_middle_of_a_wait_ends_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
