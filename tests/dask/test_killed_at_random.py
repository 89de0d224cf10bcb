"""Workers and engines killed at random moments: nothing counts twice, nothing is lost, nothing is left.

A flow of 40 jobs runs on a few workers; each step appends a line to a file when it begins and when it ends,
makes an output and a file, and sleeps for a moment. Small in CI; `just torture` runs it large.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dask.cluster import Cluster
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query, seed

WORKER_KILLS = 300 if LARGE else 4
ENGINE_KILLS = 100 if LARGE else 3
PARTS = 4 if LARGE else 1
"""The kills are shared out among so many tests, each with a cluster of its own."""
JOBS, LAYERS = (40, 4) if LARGE else (16, 2)
WORKERS, THREADS = 3, 4
DEADLINE_SECONDS = 120.0

pytestmark = pytest.mark.torture


def _write(flow: FlowOnWorkers) -> list[str]:
    """Write a flow of jobs in layers; return their names."""
    wide = JOBS // LAYERS
    jobs: list[dict[str, Any]] = []
    for number in range(JOBS):
        layer, place = divmod(number, wide)
        script = (
            f'echo "start $$" >> {flow.folder}/effects/j{number}; sleep 0.{(7 * number) % 30:02}; '
            'echo "pid=$$" >> "$AETHERFLOW_OUTPUT"; echo $$ > "$AETHERFLOW_OUTPUT_DIR/made"; '
            f'echo "end $$" >> {flow.folder}/effects/j{number}'
        )
        inputs = {
            "command": ["sh", "-c", script],
            "idempotency": {
                "strategy": "atomic_dir",
                "temp_output_dir": "made.tmp",
                "final_output_dir": "made",
            },
            "kill_grace_seconds": 0.2,
        }
        step = {"id": "s", "type": "external.process", "inputs": inputs, "outputs": {"pid": "{{result.pid}}"}}
        needs = [f"j{(layer - 1) * wide + (place + n) % wide}" for n in range(2)] if layer else []
        jobs.append({"id": f"j{number}", "steps": [step]} | ({"depends_on": needs} if needs else {}))
    retry = {"max_attempts": 200, "backoff_seconds": 0.01, "max_backoff_seconds": 0.02, "retry_on": ["lost"]}
    flow.write(jobs, retry=retry)
    return [str(job["id"]) for job in jobs]


def _check(flow: FlowOnWorkers, names: list[str]) -> tuple[int, int]:
    """Check that each step counted once and left what it said; return how many starts and ends there were."""
    assert flow.statuses() == dict.fromkeys(names, "SUCCESS")
    accepted = Counter(one["job"] for one in flow.events("step_finished") if one["status"] == "SUCCESS")
    assert accepted == dict.fromkeys(names, 1)
    begun = Counter(one["job"] for one in flow.events("step_started"))
    rows = query(flow.database, "SELECT job_id, outputs FROM job_state WHERE run_id = ?", flow.run_id)
    outputs = {job: json.loads(str(text)) for job, text in rows}
    starts = ends = 0
    for name in names:
        effects = flow.effects(name)
        assert effects.count("start") <= begun[name], f"{name} ran without a stored start"
        starts, ends = starts + effects.count("start"), ends + effects.count("end")
        counted = int(outputs[name]["pid"])
        assert counted in flow.pids(name), f"{name}: the result that counts is of no start"
        (made,) = (flow.folder / "work").glob(f"**/{name}/**/made/made")
        assert int(made.read_text()) == counted, f"{name}: the file is of another attempt than the result"
    assert query(flow.database, "PRAGMA integrity_check") == [("ok",)]
    return starts, ends


@pytest.mark.parametrize("part", range(PARTS))
def test_workers_killed_at_random_moments(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number + part)  # noqa: S311 - repeatable, keeps no secret
    kills = runs = starts = ends = steps = 0
    with Cluster(tmp_path / "cluster") as cluster:
        workers = [cluster.start_worker(f"w{n}", threads=THREADS, wait=False) for n in range(WORKERS)]
        cluster.wait_for([worker.name for worker in workers])
        started = WORKERS
        while kills < WORKER_KILLS // PARTS:
            flow = FlowOnWorkers(cluster, f"run{runs}")
            names = _write(flow)
            runs += 1
            with flow.started() as engine:
                flow.until_event("step_placed")
                deadline = time.monotonic() + DEADLINE_SECONDS
                while engine.poll() is None:
                    assert time.monotonic() < deadline, flow.tail()
                    time.sleep(chance.uniform(0.02, 0.6))  # the random moment
                    if kills == WORKER_KILLS // PARTS or engine.poll() is not None:
                        continue
                    if len(cluster.connected()) < WORKERS - 1:
                        continue  # the next ones are not there yet
                    worker = workers.pop(chance.randrange(len(workers)))
                    chance.choice([worker.kill_starter, worker.kill_tree])()
                    kills += 1
                    workers.append(cluster.start_worker(f"w{started}", threads=THREADS, wait=False))
                    started += 1
                assert engine.returncode == 0, flow.tail()
            begun, ended = _check(flow, names)
            starts, ends, steps = starts + begun, ends + ended, steps + len(names)
            wait_until(lambda: not flow.programs(), "programs of the run are left")  # noqa: B023 - it returns
        wait_until(lambda: not cluster.left(), "processes are left")
    counted = (
        f"{kills} workers killed in {runs} runs of {JOBS} jobs, {steps} steps with one result each, "
        f"{starts} starts and {ends} ends of programs, 0 accepted twice, 0 lost, 0 left"
    )
    record_property("torture", f"killed workers, part {part}, seed {number}: {counted}")


@pytest.mark.parametrize("part", range(PARTS))
def test_engines_killed_at_random_moments(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number + part)  # noqa: S311 - repeatable, keeps no secret
    kills = runs = steps = joined = 0
    with Cluster(tmp_path / "cluster") as cluster:
        for n in range(2):
            cluster.start_worker(f"w{n}", threads=THREADS, wait=False)
        cluster.wait_for(["w0", "w1"])
        while kills < ENGINE_KILLS // PARTS:
            flow = FlowOnWorkers(cluster, f"run{runs}")
            names = _write(flow)
            runs += 1
            while True:
                before = len(flow.events("step_placed"))
                with flow.started() as engine:
                    if kills == ENGINE_KILLS // PARTS:
                        assert engine.wait(DEADLINE_SECONDS) == 0, flow.tail()
                        break
                    wait_until(
                        lambda: len(flow.events("step_placed")) > before or engine.poll() is not None,  # noqa: B023 - it returns
                        "no work got to a worker",
                    )
                    time.sleep(chance.uniform(0, 0.4))  # the random moment
                    if engine.poll() is not None:
                        assert engine.returncode == 0, flow.tail()
                        break
                    kills += 1
            starts, _ = _check(flow, names)
            assert starts == len(names), "an attempt that went on was started again"
            joined += sum(bool(one.get("is_reattached")) for one in flow.events("step_placed"))
            steps += len(names)
            wait_until(lambda: not flow.programs(), "programs of the run are left")  # noqa: B023 - it returns
        wait_until(lambda: not cluster.left(), "processes are left")
    counted = (
        f"{kills} engines killed in {runs} runs of {JOBS} jobs, {joined} attempts joined again, "
        f"{steps} steps with one result each, 0 started again, 0 accepted twice, 0 lost, 0 left"
    )
    record_property("torture", f"killed engines, part {part}, seed {number}: {counted}")
