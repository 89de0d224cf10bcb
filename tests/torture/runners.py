"""Processes that execute runs as a server does, and what they print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.warm_start import Popen

ROOT = Path(__file__).parents[2]
SECONDS = 60


class Runners:
    """Starts runner processes on one state root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state" / "aetherflow.sqlite"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AETHERFLOW_STATE_ROOT": str(self.state.parent),
            "PYTHONPATH": str(ROOT),
        }

    def write(self, name: str, text: str) -> str:
        """Write a flow and return its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    @contextmanager
    def started(self, *wanted: str, slots: int = 4) -> Iterator[subprocess.Popen[str]]:
        """Have a process that runs `FLOW RUN_ID ...`; it does not outlive the block."""
        process = self.start(*wanted, slots=slots)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def start(self, *wanted: str, slots: int = 4) -> subprocess.Popen[str]:
        """Start a process that runs `FLOW RUN_ID ...`."""
        return Popen(
            [sys.executable, "-m", "tests.torture.runner_process", str(slots), *wanted],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *wanted: str) -> list[dict[str, Any]]:
        """Run a process to its end and return what it printed."""
        out, err = self.start(*wanted).communicate(timeout=SECONDS)
        assert "Traceback" not in err, err
        return [json.loads(line) for line in out.splitlines()]


def reports(changes: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return how each ticket came out: its run's status (or `refused`) and code."""
    return {
        change["run_id"]: (change["report"].get("status", "refused"), change["report"].get("code", ""))
        for change in changes
        if change["report"]
    }
