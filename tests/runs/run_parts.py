"""Flows, an environment and a step of a test's own, for tests of the composition root."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aetherflow import registry
from aetherflow.runs.execute_run import ObserverSpec, RunReport, RunRequest, run_flow
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step_decorator import step
from aetherflow.testing import Recorder

PROBE = "tests.runs.run_parts:probe"
ACTIONS: dict[str, Callable[..., Any]] = {}
"""What `probe` does, by its input `do`; a test fills it."""


@step("probe")
async def probe(context: StepContext, inputs: dict[str, Any]) -> Any:
    """Do what the test wants, else give back the inputs."""
    action = ACTIONS.get(str(inputs.get("do")))
    if action is None:
        return inputs
    result = action(context, inputs)
    return await result if inspect.isawaitable(result) else result


class Place:
    """A folder with a flow, its state and its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"XDG_STATE_HOME": str(folder / "xdg"), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
        self.seen: Recorder

    @property
    def state(self) -> Path:
        """Where the state is, unless the flow says otherwise."""
        return self.folder / "xdg" / "aetherflow" / "aetherflow.sqlite"

    def write(self, text: str, name: str = "flow.yaml") -> Path:
        """Write a flow."""
        file = self.folder / name
        file.write_text(text)
        return file

    def checked(self, text: str, **env: str) -> CheckedFlow:
        """Examine a flow; it has no errors."""
        checked = load_checked_flow(self.write(text), {**self.env, **env})
        assert checked.errors == []
        return checked

    async def run(
        self,
        text: str,
        *,
        observers: Sequence[ObserverSpec] = (),
        env: Mapping[str, str] | None = None,
        **request: Any,
    ) -> RunReport:
        """Run a flow to its end; `seen` has what an observer saw."""
        self.seen = Recorder()
        watching = [ObserverSpec("recorder", lambda: self.seen, "wait"), *observers]
        return await run_flow(self.checked(text, **(env or {})), RunRequest(**request), watching)

    def query(self, sql: str, *values: object) -> list[Any]:
        """Ask the state database through a connection of its own."""
        raw = sqlite3.connect(self.state)
        try:
            return raw.execute(sql, values).fetchall()
        finally:
            raw.close()

    def inputs(self, step_id: str = "s") -> Any:
        """Return the outputs of a step as JSON text."""
        return self.query("SELECT outputs FROM step_state WHERE step_id = ?", step_id)[0][0]


def flow(*jobs: str, head: str = "") -> str:
    """Return a flow file of these jobs, each given as a YAML flow mapping."""
    lines = ["version: 1", f"flow: {{id: demo{', ' + head if head else ''}}}", "jobs:"]
    return "\n".join([*lines, *(f"  - {job}" for job in jobs)]) + "\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder for a flow and its state; `probe` is a step that ships, while the test runs."""
    monkeypatch.setattr(registry, "STEPS", {**registry.STEPS, "probe": PROBE})
    ACTIONS.clear()
    yield Place(tmp_path)
    ACTIONS.clear()
