"""Send the messages of a flow or scheduler file as a test: by a run whose state is removed after it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import msgspec

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Event, StepFinished
from aetherflow.runs.execute_run import ObserverSpec, RunRequest, run_flow
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.spec.messages import TEST_JOB
from aetherflow.spec.messages_to_test import EVENT, OWN
from aetherflow.worker_threads import WorkerThreads

REMOVE_SECONDS = 10.0
"""How long removing the state of the test may take, also when the test is interrupted."""

_threads = WorkerThreads("files of a test of messages", 2)


class SentMessage(msgspec.Struct, frozen=True):
    """How the message of one entry was sent.

    Attributes:
        place: where the entry is: `flow.yaml:5`.
        to: mail, webhook or command.
        status: SUCCESS, or why not: FAILED, CANCELLED.
        code: of the error; empty without one.
        message: of the error.
        hint: of the error: what to do.
    """

    place: str
    to: str
    status: str
    code: str = ""
    message: str = ""
    hint: str = ""


class _Ends:
    """An observer that keeps how steps ended."""

    def __init__(self) -> None:
        self.steps: list[StepFinished] = []

    async def __call__(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self.steps += [event for event in events if isinstance(event, StepFinished)]

    async def aclose(self) -> None:
        """Keep them."""


async def send_messages(file: Path, event: str) -> list[SentMessage]:
    """Send the messages of a file now, and return how that ended.

    Args:
        file: the flow or scheduler file.
        event: what the messages report; empty: of each, the first value of its `on`.

    Raises:
        InvalidInput: the file is wrong.
        UsageError: it has no such message.
        AetherFlowError: the messages could not be sent at all.
    """
    folder = Path(await _threads.run(partial(tempfile.mkdtemp, prefix="aetherflow-")))
    try:
        roots = {f"AETHERFLOW_{name}_ROOT": str(folder / name.lower()) for name in ("STATE", "WORK")}
        load = partial(load_checked_flow, file, os.environ | roots, job=f"{TEST_JOB}{event or OWN}")
        checked = await _threads.run(load)
        checked.raise_if_invalid()
        if not checked.plan.jobs:
            raise _nothing_to_send(file, event)
        ends = _Ends()
        request = RunRequest(params={EVENT: event or OWN}, state=folder / "state" / "test.sqlite")
        await run_flow(checked, request, [ObserverSpec("test", lambda: ends, "wait")])
    finally:
        with anyio.move_on_after(REMOVE_SECONDS, shield=True):
            await _threads.run(partial(shutil.rmtree, folder, ignore_errors=True))
    order = [job.id for job in checked.plan.jobs]
    return [
        _sent(checked, end, folder) for end in sorted(ends.steps, key=lambda end: order.index(end.job_id))
    ]


def _nothing_to_send(file: Path, event: str) -> UsageError:
    if event:
        hint = f"add {event} to an `on` (late: of a scheduler file only); see: aetherflow help notify"
        return UsageError(f"{file}: no entry of notify has {event} in its `on`", hint=hint)
    hint = "write notify: into `flow:`, or into the scheduler file; see: aetherflow help notify"
    return UsageError(f"{file}: it has no notify", hint=hint)


def _sent(checked: CheckedFlow, end: StepFinished, removed: Path) -> SentMessage:
    """Return how a message was sent; what names a file in the folder that was removed is left out."""
    line = next(job.line for job in checked.plan.jobs if job.id == end.job_id)
    error = end.error
    said = error.message if error else end.reason
    return SentMessage(
        place=f"{checked.plan.file}:{line}",
        to=end.step_id,
        status=end.status,
        code=error.code if error else "",
        hint=error.hint if error else "",
        message="\n".join(line for line in said.splitlines() if str(removed) not in line),
    )
