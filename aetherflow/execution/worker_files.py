"""The files of one attempt on a worker, as the engine sees them: their names, its logs, what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import anyio

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import (
    FileAsk,
    ListInputs,
    ListOutputs,
    OpenLog,
    PublishFile,
    ReadInput,
    WriteLog,
    WriteOutput,
)
from aetherflow.execution.ports import StepCall
from aetherflow.execution.published_files import PublishedFiles, too_late
from aetherflow.execution.received_outputs import ReceivedOutputs
from aetherflow.execution.shipped_inputs import ShippedInputs
from aetherflow.execution.worker_logs import WorkerLogs
from aetherflow.run_ids import folder_name
from aetherflow.sdk.executor import Shipping

T = TypeVar("T")

CLOSE_SECONDS = 30.0
"""How long the end of an attempt waits until what it has sent and nobody wants is deleted."""


class WorkerFiles:
    """Answers what the worker of an attempt asks about files.

    Call `accept` when the end of the attempt counts, before its result is used; call `close` in any case,
    before another attempt may begin.
    """

    def __init__(self, call: StepCall, *, flow_folder: str = "", ships: Shipping | None = None) -> None:
        """Take what the attempt is about; nothing is read or written yet.

        Args:
            call: the step, with the paths as the engine has them.
            flow_folder: where the flow file is; empty: the flow comes from no file.
            ships: how much is sent, with `artifacts: ship`; None: the worker sees the same folders.
        """
        directories = call.directories
        self._published = PublishedFiles(directories)
        logs = Path(directories.logs, folder_name(call.run_id), call.job_id)
        self._logs = WorkerLogs(logs, call.step_id, call.attempt, directories.access)
        self._inputs = ShippedInputs(call, flow_folder, ships) if ships else None
        self._outputs: ReceivedOutputs | None = None
        if self._inputs and ships:
            self._outputs = ReceivedOutputs(self._inputs.job_folder, call.key, directories.access, ships)
        self._is_over = False

    async def answer(self, ask: FileAsk) -> Any:
        """Return the answer to a question, to be sent as JSON.

        Raises:
            StepError: it cannot be done, or comes too late; the worker gets the error.
        """
        if self._is_over:
            raise too_late()
        match ask:
            case PublishFile():
                return await self._published.publish(ask)
            case OpenLog():
                return await self._logs.open(ask)
            case WriteLog():
                return await self._logs.write(ask)
            case ListInputs():
                return await _there(self._inputs).list()
            case ReadInput():
                return await _there(self._inputs).read(ask)
            case ListOutputs():
                return await _there(self._outputs).begin(ask)
            case WriteOutput():
                return await _there(self._outputs).write(ask)

    async def accept(self) -> None:
        """Give what the attempt has sent its final names; it can send nothing any more.

        Raises:
            StepError: a file cannot get its name.
        """
        self._is_over = True
        if self._outputs:
            await self._outputs.accept()

    async def leave(self) -> None:
        """Give nothing a name any more, and keep what was sent: the next engine takes over the attempt."""
        self._is_over = True
        await self._published.close()

    async def close(self) -> None:
        """Let nothing get a name any more, and forget what was sent and not accepted."""
        self._is_over = True
        await self._published.close()
        if self._outputs:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._outputs.close()


def _there(part: T | None) -> T:
    """Return a part that only attempts have whose files are sent.

    Raises:
        StepError: this attempt is none of them.
    """
    if part is None:
        raise StepError(
            "a worker asks for files, but with artifacts: shared none are sent",
            hint="the worker runs another version of AetherFlow, or is not what it seems: restart it",
            code="AF846",
        )
    return part
