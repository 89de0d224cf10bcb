"""An engine of tests: lets attempts on workers begin, answers their questions, keeps all they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.execution.file_messages import OpenLog
from aetherflow.execution.ports import Directories, StepCall
from aetherflow.execution.worker_messages import (
    Accepted,
    Answer,
    Ask,
    Begin,
    End,
    FromEngine,
    FromWorker,
    GetPackage,
    Go,
    Reply,
    Request,
    Work,
)
from aetherflow.runs.run_package import RunPackage, encoded
from aetherflow.sdk.executor import Place
from aetherflow.sdk.step import StepType
from aetherflow.worker.attempt import AttemptOnWorker
from aetherflow.worker.run_on_worker import RunOnWorker, open_run
from aetherflow.worker.runs_here import RunsHere

PLACE = Place("w1", "host1", 7)
PATIENCE_SECONDS = 60
M = TypeVar("M")


def package_of(**fields: Any) -> RunPackage:
    """Return the package of a run."""
    return RunPackage(flow_id="demo", run_id="run-1", **fields)


def call_of(folder: Path, step_type: str, inputs: dict[str, Any] | None = None, **fields: Any) -> StepCall:
    """Return a call of a step whose files are below a folder."""
    layout = {"artifacts": "artifacts", "scratch": "scratch", "manifests": "manifests"}
    values: dict[str, Any] = {
        "step_type": step_type,
        "version": "",
        "inputs": inputs or {},
        "flow_id": "demo",
        "run_id": "run-1",
        "job_id": "a",
        "step_id": "s",
        "attempt": 1,
        "execution": 1,
        "idempotency_key": "run-1/a/s",
        "environment": "",
        "directories": Directories(str(folder / "work"), str(folder / "logs"), layout),
    }
    return StepCall(**{**values, **fields})


class TypesOfTest:
    """The step types of a test, as a worker finds them."""

    def __init__(self, *types: StepType) -> None:
        self._types = {one.name: one for one in types}

    def step_type(self, name: str) -> StepType:
        """Return a step type."""
        return self._types[name]

    def step_version(self, name: str) -> str:
        """Return a version."""
        return f"{name} 1"

    def connector_class(self, name: str) -> Any:
        """Raise an error."""
        raise KeyError(name)


class EngineDouble:
    """Answers one attempt.

    Attributes:
        sent: all bytes that the attempt sent.
        heard: what they say.
        answers: what is answered to a question, by its type; a value, an error or a function of the question.
        verdict: what is sent after the End.
    """

    def __init__(self, work: Work, package: RunPackage) -> None:
        self.work = work
        self.package = package
        self.sent: list[bytes] = []
        self.heard: list[FromWorker] = []
        self.answers: dict[type[Any], Any] = {OpenLog: 0}
        self.first: FromEngine | None = Go(work)
        self.verdict: FromEngine | None = Accepted()
        self.attempt: AttemptOnWorker | None = None
        self._changed = threading.Condition()

    def send(self, data: bytes) -> None:
        """Take what the attempt says."""
        message = msgspec.json.decode(data, type=FromWorker)
        with self._changed:
            self.sent.append(data)
            self.heard.append(message)
            self._changed.notify_all()
        match message:
            case Begin() if self.first is not None:
                self.tell(self.first)
            case Request(number, ask):
                self._answer(number, ask)
            case End() if self.verdict is not None:
                self.tell(self.verdict)
            case _:
                pass

    def _answer(self, number: int, ask: Ask) -> None:
        if isinstance(ask, GetPackage):
            self.tell(Reply(number, encoded(self.package)))
            return
        answer = self.answers.get(type(ask))
        if callable(answer):
            answer = answer(ask)
        if isinstance(answer, ErrorInfo):
            self.tell(Reply(number, error=answer))
        elif answer is not NOTHING:
            self.tell(Reply(number, answer))

    def tell(self, message: FromEngine) -> None:
        """Send a message to the attempt."""
        assert self.attempt is not None
        self.attempt.receive(msgspec.json.encode(message))

    def wait_for(self, kind: type[M], number: int = 1) -> M:
        """Return the n-th message of a type, once the attempt has sent it."""

        def found() -> list[M]:
            return [one for one in self.heard if isinstance(one, kind)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= number, PATIENCE_SECONDS), self.heard
            return found()[number - 1]

    @property
    def answer(self) -> Answer:
        """How the attempt ended."""
        return self.wait_for(End).answer


NOTHING = object()
"""As an answer: none comes."""


def on_worker(
    call: StepCall, *types: StepType, package: RunPackage | None = None, **work: Any
) -> tuple[EngineDouble, AttemptOnWorker]:
    """Return an attempt, and the engine that answers it; it does not run yet."""
    engine = EngineDouble(Work(call, "p1", **work), package or package_of())
    known = TypesOfTest(*types) if types else None

    def opens(found: RunPackage, place: Place) -> RunOnWorker:
        return open_run(found, place, known)

    attempt = AttemptOnWorker("run-1/a/s/1", PLACE, engine.send, opens=opens, runs=RunsHere())
    engine.attempt = attempt
    return engine, attempt


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Run a function in a thread."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread
