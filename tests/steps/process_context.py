"""A step context of the test kit for tests of processes, and what they look at outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableSequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from aetherflow.clock import Clock, SystemClock
from aetherflow.events.run_events import Event, Notice, StepOutput
from aetherflow.process.run_process import Process
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.workspace import DEFAULT_LAYOUT
from aetherflow.spec.convert import convert_values
from aetherflow.steps.external_process import external_process
from aetherflow.steps.process_inputs import ProcessInput
from aetherflow.testing import FakeRun
from tests.polling import eventually

RUN_ID = "run-1"


def process_context(
    folder: Path,
    events: MutableSequence[Event] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    secrets: tuple[str, ...] = (),
    clock: Clock | None = None,
    run_id: str = RUN_ID,
    layout: Mapping[str, str] | None = None,
) -> StepContext:
    """Return a context whose files are all below `folder` and whose events are appended to `events`."""
    run = FakeRun(folder, env=env, secrets=secrets, clock=clock or SystemClock(), run_id=run_id)
    if layout:
        workspace = replace(run.services.workspace, layout={**DEFAULT_LAYOUT, **layout})
        run.services = replace(run.services, workspace=workspace)
    if events is not None:
        run.events = events
    return run.context(step_type="external.process")


async def run_step(context: StepContext, **inputs: Any) -> StepResult:
    """Run the step as the engine does: inputs as a flow has them, converted leniently."""
    typed = convert_values(inputs, ProcessInput)
    result: StepResult = await external_process.run(context, typed)
    return result


async def sh(context: StepContext, script: str, **inputs: Any) -> dict[str, Any]:
    """Run a script by `sh -c`, and return the outputs of the step."""
    return (await run_step(context, command=["sh", "-c", script], **inputs)).outputs


def files_below(folder: Path) -> dict[str, str]:
    """Return the files of a folder and what is in them."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def shown(events: list[Event], stream: str = "stdout") -> list[str]:
    """Return the lines that were shown live."""
    return [event.text for event in events if isinstance(event, StepOutput) and event.stream == stream]


def said(events: list[Event]) -> str:
    """Return the notices, one a line."""
    return "\n".join(event.message for event in events if isinstance(event, Notice))


@contextmanager
def limits_pass_after(is_ready: Callable[[], bool], kind: type[Any] = Process) -> Iterator[None]:
    """Let no time limit end a program before it is ready for that: a program may be slow to start."""
    exited = kind.exited

    async def ready_and_exited(process: Any, *silent: Any) -> Any:
        with anyio.CancelScope(shield=True):
            assert await eventually(is_ready)
        return await exited(process, *silent)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "exited", ready_and_exited)
        yield


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
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
