"""Run a flow in this process and print how long the engine took (s): no start-up, no loading, no log.

After it stands the most memory that the process has had (MB). With `observed`, the run is logged as JSON and
its events are written, both to files beside the flow.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import anyio

from aetherflow.observe.event_stream import EventStreamObserver
from aetherflow.observe.log import LogObserver
from aetherflow.observe.shared_lines import SharedLines
from aetherflow.runs.execute_run import ObserverSpec, RunRequest, run_flow
from aetherflow.runs.load_flow import load_checked_flow


def main() -> None:
    """Examine the flow named on the command line, then time its run."""
    checked = load_checked_flow(Path(sys.argv[1]), os.environ)
    checked.raise_if_invalid()
    observers = _observers(Path(sys.argv[1])) if sys.argv[2:] == ["observed"] else []
    started = time.perf_counter()
    report = anyio.run(run_flow, checked, RunRequest(), observers)
    seconds = time.perf_counter() - started
    if report.exit_code:
        sys.exit(report.exit_code)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    sys.stdout.write(f"{seconds} {peak}\n")


def _observers(flow: Path) -> list[ObserverSpec]:
    stream = flow.with_suffix(".log").open("w", encoding="utf-8")
    shared = SharedLines()  # as `aetherflow run` has them
    log = partial(LogObserver, stream, format="json", level="info", shared=shared)
    events = EventStreamObserver(flow.with_suffix(".events"), shared=shared)
    return [ObserverSpec("log", log, "wait"), ObserverSpec("events", events.join, "wait")]


if __name__ == "__main__":
    main()
