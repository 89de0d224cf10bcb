"""Run a flow in this process and print how long the engine took (s): no start-up, no loading, no log.

After it stands the most memory that the process has had (MB).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio

from aetherflow.app.examine import examine
from aetherflow.app.running import RunRequest, run_flow


def main() -> None:
    """Examine the flow named on the command line, then time its run."""
    examined = examine(Path(sys.argv[1]), os.environ)
    examined.raise_if_invalid()
    started = time.perf_counter()
    report = anyio.run(run_flow, examined, RunRequest(), [])
    seconds = time.perf_counter() - started
    if report.exit_code:
        sys.exit(report.exit_code)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    sys.stdout.write(f"{seconds} {peak}\n")


if __name__ == "__main__":
    main()
