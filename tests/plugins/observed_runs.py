"""A flow that runs in this process, watched by an observer of a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aetherflow.observe.event_record import Recorder
from aetherflow.testing import run_flow


class Watched:
    """A flow in a folder, and the environment of its runs.

    Attributes:
        lost: what observers could not pass on, by name.
    """

    def __init__(self, folder: Path, flow: str, **env: str) -> None:
        self.folder = folder
        self.env = env
        self.flow = flow
        self.lost: dict[str, str] = {}

    async def run(self, env: dict[str, str] | None = None, **request: Any) -> list[dict[str, Any]]:
        """Run the flow as `r1`, or go on with that run; return the records of its events."""
        request = {"run_id": "r1", **request}
        done = await run_flow(self.flow, self.folder, env=self.env | (env or {}), **request)
        self.status, self.lost = done.status, done.detached
        recorder = Recorder()
        return [msgspec.to_builtins(recorder.record(event)) for event in done.events]
