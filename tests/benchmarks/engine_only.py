"""Run a flow in this process and print how long the engine took: no start-up, no loading, no log."""

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
    sys.stdout.write(f"{seconds}\n")


if __name__ == "__main__":
    main()
