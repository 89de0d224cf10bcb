"""The files of one attempt on a worker, as the engine sees them: their names, its logs, what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from aetherflow.execution.published_files import PublishedFiles
from aetherflow.execution.worker_logs import WorkerLogs
from aetherflow.run_ids import folder_name


class WorkerFiles:
    """Answers what the worker of an attempt asks about files.

    Call `accept` when the end of the attempt counts, before its result is used; call `close` in any case,
    before another attempt may begin.
    """

    def __init__(self, call: StepCall) -> None:
        directories = call.directories
        self._published = PublishedFiles(directories)
        logs = Path(directories.logs, folder_name(call.run_id), call.job_id)
        self._logs = WorkerLogs(logs, call.step_id, call.attempt, directories.access)

    async def answer(self, ask: FileAsk) -> Any:
        """Return the answer to a question, to be sent as JSON.

        Raises:
            StepError: it cannot be done; the worker gets the error.
        """
        match ask:
            case PublishFile():
                return await self._published.publish(ask)
            case OpenLog():
                return await self._logs.open(ask)
            case WriteLog():
                return await self._logs.write(ask)
            case ListInputs() | ReadInput() | ListOutputs() | WriteOutput():
                raise StepError(
                    "artifacts: ship is not there yet", hint="use artifacts: shared", code="AF841"
                )

    async def accept(self) -> None:
        """Give what the attempt has sent its final names.

        Raises:
            StepError: a file cannot get its name.
        """

    async def close(self) -> None:
        """Let nothing get a name any more, and forget what was sent and not accepted."""
        await self._published.close()
