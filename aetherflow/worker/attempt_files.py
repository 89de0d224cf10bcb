"""The files of one attempt on this worker: what is sent, its logs, and who gives files their names.

Paths that differ between the engine and this worker are translated, both ways.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from msgspec.structs import replace

from aetherflow.errors import StepError
from aetherflow.execution.worker_messages import Answer, Work
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.run_ids import folder_name
from aetherflow.sdk.files import Publisher, publisher
from aetherflow.spec.flow_place import FlowPlace
from aetherflow.task_errors import one_error
from aetherflow.worker.own_folder import attempt_folder
from aetherflow.worker.published_files import AskEngine, EnginePublisher
from aetherflow.worker.sent_logs import SentLogs
from aetherflow.worker.shipped_folder import ShippedFolder
from aetherflow.worker.translated_paths import TranslatedPaths
from aetherflow.worker_threads import WorkerThreads

FINISH_SECONDS = 60.0
"""How long an attempt that has ended waits until its log has reached the engine."""

STOP_SECONDS = 5.0
"""The same for one that is stopped."""

_threads = WorkerThreads("files of an attempt", 2)


class AttemptFiles:
    """The files of one attempt.

    Attributes:
        call: the step, with the paths of this worker.
        place: where the flow is here.
        publisher: gives files their names.
    """

    def __init__(self, work: Work, place: FlowPlace, ask: AskEngine, report: Callable[[str], None]) -> None:
        """Choose the paths here; nothing is made but the folder of the worker.

        Args:
            work: what the attempt has to do.
            place: where the flow is for the engine.
            ask: asks the engine, and blocks.
            report: shows a warning.

        Raises:
            OSError: the folder of the worker cannot be made.
        """
        call, directories = work.call, work.call.directories
        self._report = report
        self._folder = attempt_folder()
        logs, root, flow, read = (self._folder / name for name in ("logs", "work", "flow", "read-logs"))
        self.place, self._shipped = place, None
        self.publisher: Publisher = EnginePublisher(ask)
        folders: dict[str, Path] = {}
        changed: dict[str, Any] = {"logs": str(logs)}
        if work.artifacts == "ship":
            folders = {directories.work: root, place.directory: flow, directories.logs: read}
            allowed = None if directories.allowed is None else [*directories.allowed, str(flow), str(read)]
            changed |= {"work": str(root), "allowed": allowed}
            job = root / call.flow_id / call.job_id / folder_name(call.run_id)
            layout = directories.layout.values()
            self._shipped = ShippedFolder(
                {"work": root, "flow": flow, "logs": read}, job, layout, ask, report
            )
            self.publisher = self._shipped.publish
        self._paths = TranslatedPaths(folders, {directories.logs: logs})
        if self._shipped:
            self.place = FlowPlace(self._paths.here(place.file), self._paths.here(place.directory))
        self.call = replace(
            call, directories=replace(directories, **changed), inputs=self._paths.here(call.inputs)
        )
        self._logs = SentLogs(logs / folder_name(call.run_id) / call.job_id, ask, report)

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Have the files here while a block performs the step; at its end all that counts has been sent.

        Raises:
            StepError: files cannot be sent.
        """
        token = publisher.set(self.publisher)
        try:
            async with one_error() as tasks:
                tasks.start_soon(self._logs.run)
                if self._shipped:
                    await _threads.run(self._shipped.fetch, abandon_on_cancel=True)
                try:
                    yield
                except BaseException as error:
                    if not is_our_cancellation(error):
                        await self._send_back_of_failed()
                    raise
                if self._shipped:
                    await _threads.run(self._shipped.send_back, abandon_on_cancel=True)
                tasks.cancel_scope.cancel()
        except BaseException as error:
            await self._finish(STOP_SECONDS if is_our_cancellation(error) else FINISH_SECONDS)
            raise
        else:
            await self._finish(FINISH_SECONDS)
        finally:
            publisher.reset(token)

    def there(self, answer: Answer) -> Answer:
        """Return an answer with the paths of the engine."""
        found: Answer = self._paths.there(answer)
        return found

    def text_there(self, text: str) -> str:
        """Return a text with the paths of the engine."""
        return self._paths.text_there(text)

    async def _send_back_of_failed(self) -> None:
        """Send what a step made that failed: a person may need it, and the next attempt."""
        if self._shipped:
            try:
                await _threads.run(self._shipped.send_back, abandon_on_cancel=True)
            except StepError as error:
                self._report(f"the files of the failed step stay on the worker: {error.message}")

    async def _finish(self, seconds: float) -> None:
        with anyio.move_on_after(seconds, shield=True) as finishing:
            await self._logs.finish()
            if self._folder.exists():  # most attempts have made nothing here
                await _threads.run(_remove, self._folder, abandon_on_cancel=True)
        if finishing.cancelled_caught:
            self._report(f"the end of the log did not reach the engine within {seconds:g} s")


def _remove(folder: Path) -> None:
    """Remove what an attempt had here, also folders that it made read-only."""
    if not folder.exists():
        return
    for above, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(above, name)
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
