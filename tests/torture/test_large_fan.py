"""A `for_each` over very many items: killed half way, it resumes in bounded memory and loses no item."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query
from tests.warm_start import COMMAND, Popen

ITEMS = 100_000 if LARGE else 3_000
START_KB = 80_000
"""What the command takes with few items (about 43 MB), and some more."""
ITEM_KB = 4.0
"""What an item may take; about 1.4 while the run began it, 3.3 when the history is read again."""
SECONDS = 3600 if LARGE else 120

pytestmark = pytest.mark.torture

FLOW = """
version: 1
flow:
  id: fan
  state: {path: STATE}
  workspace: {root: WORK}
  params: {items: {type: json, required: true}}
jobs:
  - id: each
    for_each: "{{params.items}}"
    max_parallel: 8
    steps:
      - {id: s, type: check_items, inputs: {items: ["{{item}}"]}, outputs: {seen: "{{item}}-{{item_index}}"}}
  - id: after
    depends_on: [each]
    steps:
      - id: s
        type: check_items
        inputs: {items: "{{jobs.each.outputs.seen}}"}
        outputs: {n: "{{result.count}}"}
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "said").open("ab") as said:
        return Popen(
            [COMMAND, "run", "flow.yaml", "--run-id", "r", "--params-file", "params.json"],
            cwd=folder,
            stdout=said,
            stderr=said,
        )


def peak_kb(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the end of a process; return the most memory that it has had."""
    peak = 0

    def ended() -> bool:
        nonlocal peak
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        peak = max(peak, int((status.partition("VmHWM:")[2].split() or ["0"])[0]))
        return process.poll() is not None

    wait_until(ended, "the end of the run", seconds)
    return peak


def test_very_many_items_take_bounded_memory_and_survive_a_kill(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    state = tmp_path / "state.sqlite"
    (tmp_path / "flow.yaml").write_text(FLOW.replace("STATE", str(state)).replace("WORK", f"{tmp_path}/work"))
    items = [f"item-{number:06}-{'x' * 100}" for number in range(ITEMS)]
    (tmp_path / "params.json").write_text(json.dumps({"items": items}))

    def done() -> int:
        counted = query(state, "SELECT count(*) FROM job_state WHERE run_id = 'r' AND status = 'SUCCESS'")
        return int(str(counted[0][0])) if counted else 0

    process = start(tmp_path)
    wait_until(lambda: done() >= ITEMS // 2, "half of the items", SECONDS)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = done()
    assert before < ITEMS
    resumed = start(tmp_path)
    peak = peak_kb(resumed, SECONDS)

    assert resumed.returncode == 0, (tmp_path / "said").read_text()[-4000:]
    assert peak < START_KB + ITEM_KB * ITEMS
    counts = query(
        state,
        "SELECT count(*), count(DISTINCT job_id) FROM events WHERE run_id = 'r' AND event = 'step_finished' "
        "AND job_id LIKE 'each[%' AND json_extract(payload, '$.status') = 'SUCCESS'",
    )
    assert counts == [(ITEMS, ITEMS)], "an item was repeated or lost"
    check_the_gathered_list(state, items)
    record_property(
        "torture",
        f"for_each: {ITEMS} items, killed after {before}, 0 repeated, 0 lost, gathered in order, "
        f"{peak / 1000:.0f} MB at most when it resumed",
    )


def check_the_gathered_list(state: Path, items: list[str]) -> None:
    """Assert that the fan's outputs stand in item order, in a file, and that the items are in one too."""
    wanted = [f"{item}-{number}" for number, item in enumerate(items)]
    ((outputs,),) = query(state, "SELECT outputs FROM job_state WHERE job_id = 'each'")
    reference = json.loads(str(outputs))["seen"]
    file = state.with_name("state.logs") / "r" / reference["$file"]
    assert json.loads(file.read_bytes()) == wanted
    ((kept,),) = query(
        state,
        "SELECT json_extract(payload, '$.items') FROM events WHERE event = 'job_started' AND job_id = 'each' "
        "ORDER BY seq LIMIT 1",
    )
    stored = json.loads(str(kept))
    assert stored["count"] == len(items)
    assert json.loads((state.with_name("state.logs") / "r" / stored["$file"]).read_bytes()) == items
    assert query(state, "SELECT outputs FROM job_state WHERE job_id = 'after'") == [
        (f'{{"n":{len(items)}}}',)
    ]
