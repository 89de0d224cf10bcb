"""Test plugins: with a context without an engine, one step, or a whole flow in a temporary state database.

    from aetherflow.testing import FakeRun, run_flow, run_step

Nothing here is imported by the command line. The names below are public; see the manual, «Writing plugins».
"""

from __future__ import annotations

from aetherflow.testing.fake_clock import FakeClock
from aetherflow.testing.fake_run import FakeRun
from aetherflow.testing.flow_run import FlowRun, run_flow
from aetherflow.testing.memory_journal import MemoryJournal
from aetherflow.testing.memory_locks import MemoryLocks
from aetherflow.testing.memory_pools import MemoryPools
from aetherflow.testing.recorder import Recorder
from aetherflow.testing.step_run import run_step

__all__ = [
    "FakeClock",
    "FakeRun",
    "FlowRun",
    "MemoryJournal",
    "MemoryLocks",
    "MemoryPools",
    "Recorder",
    "run_flow",
    "run_step",
]
