"""One attempt of a step on a worker: asks whether it may begin, performs the step, says how it ended.

It runs in the thread that calls `run`, on an event loop of its own; messages of the engine may come from any
thread. What it says is masked here already: the engine, which masks it again, need not know every secret that
this worker knows.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

import anyio
import msgspec
from msgspec.structs import replace

from aetherflow.event_loop import protect_task, run_loop
from aetherflow.execution.ports import LogLine
from aetherflow.execution.worker_messages import (
    Accepted,
    Answer,
    Begin,
    End,
    FromEngine,
    GetPackage,
    Go,
    Refuse,
    Reply,
    Stop,
    Undo,
    Work,
)
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.process import guardian
from aetherflow.redaction import Redactor
from aetherflow.runs.run_package import RunPackage, decoded
from aetherflow.sdk.executor import Place, Send
from aetherflow.task_errors import one_error
from aetherflow.worker.captured_output import output_captured
from aetherflow.worker.engine_link import UNANSWERED_SECONDS, EngineError, EngineLink
from aetherflow.worker.known_secrets import learn_secrets
from aetherflow.worker.performed import PerformedStep, failure_here
from aetherflow.worker.run_on_worker import RunOnWorker, open_run
from aetherflow.worker.runs_here import RunsHere
from aetherflow.worker_threads import WorkerThreads

_opening_threads = WorkerThreads("packages of runs", 1)
_runs = RunsHere()


class _Withdrawn(msgspec.Struct, frozen=True):
    """The worker itself ends the attempt."""

    why: str


class AttemptOnWorker:
    """An attempt, from the question whether it may begin until its answer was read.

    Attributes:
        key: its fencing token.
        place: this worker.
        is_over: whether the engine needs nothing more of it, so that its carrier may forget it.
    """

    def __init__(
        self,
        key: str,
        place: Place,
        send: Send,
        *,
        opens: Callable[[RunPackage, Place], RunOnWorker] = open_run,
        runs: RunsHere = _runs,
    ) -> None:
        """Prepare an attempt; nothing is sent before `run`.

        Args:
            key: its fencing token.
            place: this worker.
            send: passes a message to the engine.
            opens: returns a run as this worker sees it; blocking.
            runs: the runs that were opened in this process.
        """
        self.key = key
        self.place = place
        self.is_over = False
        self._link = EngineLink(send)
        self._opens, self._runs = opens, runs
        self._lock = threading.Lock()
        self._arrived: list[FromEngine | _Withdrawn] = []
        self._has_ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: Work | None = None
        self._answer: Answer | None = None
        self._is_accepted = False
        self._is_stopped = False
        self._why_stopped = ""
        self._lock_error: EngineError | None = None

    def receive(self, message: bytes) -> None:
        """Take a message of the engine; from any thread, and also after the end of `run`.

        Raises:
            msgspec.DecodeError: it is no message.
        """
        found: FromEngine = msgspec.json.decode(message, type=FromEngine)
        if isinstance(found, Reply) and self._link.take_for_thread(found):
            return
        self._take_in_order(found)

    def stop(self, why: str) -> None:
        """End the attempt, as the engine cannot be reached or the worker closes; from any thread.

        Its programs are ended and what it would leave is undone; its End is still sent, and kept.
        """
        self._take_in_order(_Withdrawn(why))

    def attach(self, send: Send) -> None:
        """Serve an engine that has taken over the run; from any thread.

        It gets a Begin that says that the attempt has begun, and after its Go the questions that wait for an
        answer, and the End.
        """
        self._link.join(send, Begin(self.place, has_begun=self._work is not None))

    def run(self) -> None:
        """Run the attempt to its end in this thread; it may have to wait for the engine's verdict."""
        try:
            with output_captured():
                run_loop(self._main)
        finally:
            self._link.close()  # for a thread that outlives its step
            with self._lock:
                arrived, self._arrived = self._arrived, []
                self._loop, self._has_ended = None, True
            for message in arrived:
                self._take_at_the_end(message)

    def _take_in_order(self, message: FromEngine | _Withdrawn) -> None:
        """Let the event loop take a message, or take it here if that has ended."""
        if isinstance(message, Refuse | _Withdrawn):
            self._link.close()
        with self._lock:
            if not self._has_ended:
                self._arrived.append(message)
                if self._loop is not None:
                    with suppress(RuntimeError):  # it is closed: `run` takes what has arrived
                        self._loop.call_soon_threadsafe(self._take_arrived)
                return
        self._take_at_the_end(message)

    def _take_arrived(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for message in arrived:
            self._take(message)

    def _take(self, message: FromEngine | _Withdrawn) -> None:
        match message:
            case Go(work):
                self._work = self._work or work
                self._decided.set()
                self._say_again()
            case Reply():
                try:
                    self._link.take(message)
                except EngineError as error:
                    self._lock_error = error
                    self._scope.cancel()
            case Stop():
                self._is_stopped = True
                self._scope.cancel()
                self._decided.set()
                self._say_again()  # an engine that took over may only want to know when it has ended
            case _Withdrawn(why) | Refuse(why):
                self._is_stopped, self._why_stopped = True, why
                self.is_over = self.is_over or isinstance(message, Refuse)
                self._scope.cancel()
                self._decided.set()
                self._judged.set()
            case Accepted() | Undo():
                self._is_accepted = isinstance(message, Accepted)
                self.is_over = True
                self._judged.set()
            case _:
                assert_never(message)

    def _take_at_the_end(self, message: FromEngine | _Withdrawn) -> None:
        """Take a message when `run` has ended: the engine has read the End, or does not want it."""
        match message:
            case Accepted() | Undo() | Refuse():
                self.is_over = True
            case Go() | Stop():
                self._say_again()
            case Reply() | _Withdrawn():
                pass
            case _:
                assert_never(message)

    def _say_again(self) -> None:
        """Say to an engine that took over what it has to know."""
        if self._link.joined() and self._answer is not None:
            self._link.say(End(self._answer))

    async def _main(self) -> None:
        self._decided, self._judged, self._scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        with self._lock:
            self._loop = asyncio.get_running_loop()
        self._take_arrived()
        self._link.say(Begin(self.place))
        await self._decided.wait()
        if self._work is None:
            self.is_over = True
            return
        step, answer = await self._performed(self._work)
        if self._why_stopped and answer.result is None and answer.error is None:
            answer = replace(answer, stopped=self._why_stopped)
        self._answer = answer
        self._link.say(End(answer))
        if step is not None and answer.must_wait:
            with anyio.move_on_after(UNANSWERED_SECONDS):
                await self._judged.wait()
            if not self._is_accepted:
                await step.undo()
                self.is_over = True  # an engine that comes later must not find the answer

    async def _performed(self, work: Work) -> tuple[PerformedStep | None, Answer]:
        """Perform the step; return it, and how it ended."""
        step: PerformedStep | None = None
        try:
            with self._scope:
                if self._is_stopped:
                    self._scope.cancel()
                run = await self._opened(work.package)
                step = PerformedStep(run, work, self._link)
                return step, await _in_own_task(step)
        except BaseException as error:  # whatever a step raises is its outcome, with place and cause
            if is_our_cancellation(error):
                raise
            if step is not None:
                return step, step.failed(error)
            info, trace = failure_here(error, Redactor(), self.place)
            return None, Answer(error=info, trace=trace)
        if self._lock_error is not None and step is not None:
            return step, step.failed(self._lock_error)
        return step, Answer() if step is None else step.stopped()

    async def _opened(self, package: str) -> RunOnWorker:
        """Return the run, opened when an attempt of it comes here for the first time."""
        if (run := self._runs.get(package)) is not None:
            return run
        found = decoded(await self._link.ask(GetPackage(package)))

        def open_it() -> RunOnWorker:
            run = self._opens(found, self.place)
            problems = learn_secrets(run, lambda: {guardian.MARK: guardian.new_mark(found.run_id)})
            for problem in problems:
                line = f"{run.redactor.text(problem)}; on this worker what it holds is not masked"
                self._link.say(LogLine(line, "debug"))
            return run

        return await _opening_threads.run(self._runs.opened, package, open_it, abandon_on_cancel=True)


async def _in_own_task(step: PerformedStep) -> Answer:
    """Perform a step in a task that it may cancel: that ends the attempt, not this worker."""
    answer = Answer()

    async def perform() -> None:
        nonlocal answer
        protect_task("step")
        answer = await step.perform()

    protect_task("engine")
    async with one_error() as tasks:
        tasks.start_soon(perform)
    return answer
