"""Threads that are the first to meet a type: the process lives, and each gets its value."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
from aetherflow.spec.convert import convert
from aetherflow.spec.flow import FlowFile

sys.setswitchinterval(1e-6)
value = {"version": 1, "flow": {"id": "f"}, "jobs": [{"id": "a", "steps": [{"id": "s", "type": "t"}]}]}
together, got = threading.Barrier(8), []

def meet():
    together.wait()
    got.append(convert(value, FlowFile).flow.id)

threads = [threading.Thread(target=meet) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(got == ["f"] * 8)
"""


def test_eight_threads_may_be_the_first_to_convert_to_a_type() -> None:
    """With msgspec's own `convert` five of six such processes ended with a segmentation fault."""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
