"""Run a whole flow in a test: the real engine, a temporary state database, the steps of the test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import InvalidInput
from aetherflow.events.run_events import Event, StepFinished
from aetherflow.registry import CONNECTOR, STEP
from aetherflow.runs.execute_run import ObserverSpec, RunRequest, execute_run
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.resolved_run import resolve_run
from aetherflow.runs.run_control import RunControl
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.step import StepType
from aetherflow.store.database_pool import DatabasePool
from aetherflow.testing.recorder import Recorder


class FlowRun(msgspec.Struct, frozen=True):
    """A run that has ended.

    Attributes:
        state: its state database; `run_flow` with the same folder and run id resumes the run.
        seen: the observer that recorded its events.
        detached: observers that failed during the run, by name, and why.
    """

    run_id: str
    status: Literal["SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED"]
    state: Path
    seen: Recorder
    detached: dict[str, str] = {}

    @property
    def events(self) -> list[Event]:
        """All events of the run that observers saw, in order."""
        return self.seen.events

    @property
    def logged(self) -> list[str]:
        """The messages of its log."""
        return self.seen.logged

    def step(self, name: str) -> StepFinished:
        """Return how a step ended, by `job.step`: its status, outputs, reason and error.

        Raises:
            KeyError: the step did not end in this execution of the run.
        """
        found = [one for one in self.seen.of(StepFinished) if f"{one.job_id}.{one.step_id}" == name]
        if not found:
            raise KeyError(name)
        return found[-1]


async def run_flow(
    flow: str | Path,
    folder: Path,
    *,
    steps: Sequence[StepType] = (),
    connectors: Mapping[str, type[Connector]] | None = None,
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    **request: Any,
) -> FlowRun:
    """Run a flow to its end and return how it ended.

    Args:
        flow: the text of a flow file, or its path.
        folder: the folder for the state, the files of the run and, if `flow` is a text, the flow file.
        steps: step types of the test, added to the installed ones.
        connectors: connector classes of the test, by `kind:driver`.
        env: variables of the run, added to PATH and HOME.
        clock: default: the system clock; a `FakeClock` must be `by_hand`.
        request: `run_id`, `params`, `rerun`, `only` and the other fields of `RunRequest`.

    Raises:
        InvalidInput: the flow is not valid; the error has the diagnostics.
        AetherFlowError: the run cannot be started. A run that fails raises nothing; check `status`.
    """
    if isinstance(flow, str):
        file = folder / "flow.yaml"
        file.write_text(flow, encoding="utf-8")
        flow = file
    given: dict[tuple[str, str], object] = {(STEP, one.name): one for one in steps}
    given |= {(CONNECTOR, name): one for name, one in (connectors or {}).items()}
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "AETHERFLOW_STATE_ROOT": str(folder / "state"),
        "AETHERFLOW_WORK_ROOT": str(folder / "work"),
        **(env or {}),
    }
    checked = load_checked_flow(flow, variables, given=given)
    if checked.errors:
        raise InvalidInput(checked.errors)
    seen = Recorder()
    clock = clock or SystemClock()
    run = resolve_run(checked, RunRequest(**request), clock)
    report = await execute_run(
        run,
        [ObserverSpec("test", lambda: seen, "wait")],
        states=DatabasePool(),
        control=RunControl(),
        clock=clock,
    )
    status = "INTERRUPTED" if report.status == "LEFT" else report.status  # only a server leaves runs
    return FlowRun(report.run_id, status, run.state, seen, report.detached)
