"""An engine of tests that answers what attempts ask about files as the real one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.from_thread
import msgspec

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution import file_messages as m
from aetherflow.execution.ports import StepCall
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_messages import Answer
from aetherflow.sdk.executor import Shipping
from aetherflow.sdk.step import StepType
from aetherflow.spec.flow_place import FlowPlace
from tests.worker.engine_double import EngineDouble, on_worker, package_of

KINDS = (
    m.PublishFile,
    m.OpenLog,
    m.WriteLog,
    m.ListInputs,
    m.ReadInput,
    m.ListOutputs,
    m.WriteOutput,
)


class FilesOfEngine:
    """The files of one attempt: `files` is the real thing, on an event loop of its own.

    Attributes:
        asked: the questions.
        before: called with each question; it may return another question, or an answer.
        said: the log lines of the attempt.
    """

    def __init__(self, files: WorkerFiles, portal: anyio.from_thread.BlockingPortal) -> None:
        self.files = files
        self.asked: list[Any] = []
        self.said: list[str] = []
        self.before: Callable[[Any], Any] = lambda _ask: None
        self._portal = portal

    def answer(self, ask: Any) -> Any:
        """Answer a question; called in a thread of the worker."""
        self.asked.append(ask)
        other = self.before(ask)
        if isinstance(other, KINDS):
            ask = other
        elif other is not None:
            return other
        try:
            return msgspec.to_builtins(self._portal.call(self.files.answer, ask))
        except StepError as error:
            return error.info()

    def refused(self, ask: Any) -> ErrorInfo:
        """Return the error with which a question is answered."""
        error = self.answer(ask)
        assert isinstance(error, ErrorInfo)
        return error

    def end(self, *, accept: bool = True) -> ErrorInfo | None:
        """End the attempt for the engine."""
        try:
            if accept:
                self._portal.call(self.files.accept)
        except StepError as error:
            return error.info()
        finally:
            self._portal.call(self.files.close)
        return None


@contextmanager
def engine_with_files(
    call: StepCall, *types: StepType, flow: Path | None = None, ships: Shipping | None = None
) -> Iterator[tuple[EngineDouble, FilesOfEngine, Callable[[], Answer]]]:
    """Yield an engine, its files, and a function that runs the attempt."""
    place = FlowPlace(str(flow / "flow.yaml"), str(flow)) if flow else FlowPlace()
    artifacts: m.Artifacts = "ship" if ships else "shared"
    engine, attempt = on_worker(call, *types, package=package_of(place=place), artifacts=artifacts)
    with anyio.from_thread.start_blocking_portal() as portal:

        def make() -> WorkerFiles:
            return WorkerFiles(call, flow_folder=place.directory, ships=ships)

        files = FilesOfEngine(portal.call(make), portal)
        for kind in KINDS:
            engine.answers[kind] = files.answer

        def run() -> Answer:
            attempt.run()
            return engine.answer

        yield engine, files, run
