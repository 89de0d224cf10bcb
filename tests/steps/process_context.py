"""A real step context for tests of processes; only what those never touch is a stand-in."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableSequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NoReturn

import anyio
import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.events.run_events import Event, Notice, StepOutput
from aetherflow.redaction import Redactor
from aetherflow.sdk.context import RunServices, StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.workspace import Workspace
from aetherflow.steps.external_process import external_process
from aetherflow.steps.process_inputs import ProcessInput
from tests.polling import eventually

RUN_ID = "run-1"


class _Unused:
    """Stands for what no process step touches."""

    async def get(self, name: str, user: object = None) -> NoReturn:
        raise AssertionError(name, user)

    async def release(self, user: object) -> NoReturn:
        raise AssertionError(user)

    def hold(
        self, key: str, *, ttl_seconds: float, wait_seconds: float, job_id: str, step_id: str
    ) -> AbstractAsyncContextManager[None]:
        raise AssertionError((key, ttl_seconds, wait_seconds, job_id, step_id))

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> StepResult:
        raise AssertionError((context, inputs))


def process_context(
    folder: Path,
    events: MutableSequence[Event] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    secrets: tuple[str, ...] = (),
    clock: Clock | None = None,
    run_id: str = RUN_ID,
) -> StepContext:
    """Return a context whose files are all below `folder` and whose events are appended to `events`."""
    unused = _Unused()
    services = RunServices(
        flow_id="flow",
        run_id=run_id,
        env={"PATH": os.environ["PATH"]} if env is None else env,
        clock=clock or SystemClock(),
        redactor=Redactor(secrets),
        workspace=Workspace(root=folder / "work", flow_id="flow", run_id=run_id),
        log_directory=folder / "logs",
        connectors=unused,
        locks=unused,
        nested_step=unused,
        announce=(events if events is not None else []).append,
        threads=anyio.CapacityLimiter(8),
    )
    return StepContext(services, job_id="job", step_id="step", step_type="external.process")


async def run_step(context: StepContext, **inputs: Any) -> StepResult:
    """Run the step as the engine does: inputs as a flow has them, converted leniently."""
    typed = msgspec.convert(inputs, ProcessInput, strict=False)
    result: StepResult = await external_process.run(context, typed)
    return result


def shown(events: list[Event], stream: str = "stdout") -> list[str]:
    """Return the lines that were shown live."""
    return [event.text for event in events if isinstance(event, StepOutput) and event.stream == stream]


def said(events: list[Event]) -> str:
    """Return the notices, one a line."""
    return "\n".join(event.message for event in events if isinstance(event, Notice))


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not, whoever should reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in b"ZX"


async def pids_in(file: Path, count: int) -> list[int]:
    """Return the process ids that a program writes to a file, one a line, as soon as all are there."""

    def listed() -> list[int]:
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    assert await eventually(lambda: len(listed()) >= count)
    return listed()


class StillClock(SystemClock):
    """A clock that stands still; it notes how long somebody wanted to sleep and goes on at once."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
