"""Run a flow in this process and print how long the engine took (s): no start-up, no loading, no log.

After it stands the most memory that the process has had (MB).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio

from aetherflow.runs.execute_run import RunRequest, run_flow
from aetherflow.runs.load_flow import load_checked_flow


def main() -> None:
    """Examine the flow named on the command line, then time its run."""
    checked = load_checked_flow(Path(sys.argv[1]), os.environ)
    checked.raise_if_invalid()
    started = time.perf_counter()
    report = anyio.run(run_flow, checked, RunRequest(), [])
    seconds = time.perf_counter() - started
    if report.exit_code:
        sys.exit(report.exit_code)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    sys.stdout.write(f"{seconds} {peak}\n")


if __name__ == "__main__":
    main()
