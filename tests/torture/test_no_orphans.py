"""Cancels at random moments over six shapes of process tree: nothing of a run outlives it."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import marked, query, said, seed, start

CANCELS = 600 if LARGE else 12

SHAPES = {
    "a child": "exec sleep 1000",
    "grandchildren": "sleep 1000 & sleep 1000 & wait",
    "a double fork in a session of its own": "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000",
    "ignores SIGTERM": "trap '' TERM; while :; do sleep 1000; done",
    "fills its pipe": "yes | cat",
    "stopped": "kill -STOP $$; sleep 1000",
}

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cancelled_run_leaves_no_process(
    shape: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(f"{number} {shape}")  # noqa: S311 - repeatable, keeps no secret
    flow, database = tmp_path / "flow.yaml", tmp_path / "state.sqlite"
    command = json.dumps(["sh", "-c", SHAPES[shape]])
    mode = "capture" if shape == "fills its pipe" else "discard"  # discarded output goes into no pipe of ours
    flow.write_text(
        "version: 1\n"
        f"flow: {{id: orphans, state: {{path: {database}}}, workspace: {{root: {tmp_path}/work}}}}\n"
        f"jobs:\n  - id: a\n    steps:\n      - id: s\n        type: external.process\n"
        f"        inputs: {{command: {command}, kill_grace_seconds: 0.2, log: {{stdout: {mode}}}}}\n"
    )
    rounds = -(-CANCELS // len(SHAPES))
    for turn in range(rounds):
        run_id = f"orphans-{tmp_path.name}-{turn}-{number}"
        process = start(flow, run_id)
        if chance.random() < 0.7:
            wait_until(lambda run=run_id: bool(marked(run)), "the child did not start")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.15))  # the random moment
        which = chance.choice([signal.SIGINT, signal.SIGTERM])
        process.send_signal(which)
        code = process.wait(30)
        if "Fatal Python error: init_" not in said(flow, run_id):  # the interpreter itself gave up
            assert code in (128 + which, -which), said(flow, run_id)
        assert marked(run_id) == [], f"{shape}: outlived the run"
        if code > 0 and (stored := query(database, "SELECT status FROM runs WHERE run_id = ?", run_id)):
            assert stored == [("CANCELLED",)]
    record_property("torture", f"no orphans, {shape}, seed {number}: {rounds} cancels, 0 survivors")
