"""Run attempts of steps on the workers of an executor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import msgspec

from aetherflow.errors import AttemptLost, StepError
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Event, Notice
from aetherflow.execution.ports import StepCall
from aetherflow.execution.worker_attempt import WorkerAttempt
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_messages import Work
from aetherflow.plugin_errors import named
from aetherflow.sdk.blocking import THREAD_STOP_SECONDS
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Needs, OpenExecutor
from aetherflow.sdk.step import StepResult
from aetherflow.spec.duration import parse_duration
from aetherflow.task_errors import one_error

STOP_SECONDS = 10.0
"""How long a worker may take to say that an attempt has ended, beyond the time that its step may take."""

CLOSE_SECONDS = 5.0
"""How long the end of a run waits until its executor has passed on that the last answers were read."""


class WorkersOfRun(msgspec.Struct, frozen=True):
    """What the attempts of a run on the workers of one executor have in common.

    Attributes:
        executor: carries their messages.
        package_id: names what all attempts of the run have in common.
        package_text: that, as JSON text; returned to a worker that asks for it.
        needs_of: what the worker of a step must offer.
        announce: shows an event.
        conceal: returns a call with references in the place of the secrets in its inputs; raises StepError if
            a worker cannot resolve one.
        stop_seconds: how long a worker may take beyond the time of the step until it says how that ended.
    """

    executor: OpenExecutor
    package_id: str
    package_text: Callable[[], str]
    needs_of: Callable[[StepCall], Needs]
    announce: Callable[[Event], None]
    conceal: Callable[[StepCall], StepCall]
    stop_seconds: float = STOP_SECONDS


class _Carried(msgspec.Struct):
    """An attempt that the executor carries, and the scope that ends that."""

    attempt: WorkerAttempt
    scope: anyio.CancelScope


class WorkerPlacement:
    """Implements `Placement`; `worker_placement` opens it.

    The executor carries an attempt for longer than `perform` takes: until its worker knows that the end is
    stored. Until then the worker keeps its answer for another process of the engine.
    """

    def __init__(self, run: WorkersOfRun, tasks: anyio.abc.TaskGroup) -> None:
        self._run = run
        self._tasks = tasks
        self._carried: dict[str, _Carried] = {}
        self._leaves = False

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Let a worker run the step; see `Placement`.

        Raises:
            StepError: the step failed, or no worker can run it.
            AttemptLost: nobody knows how it ended.
        """
        attempt = self._attempt(call, context)
        carried = _Carried(attempt, anyio.CancelScope())
        self._carried[call.key] = carried
        self._tasks.start_soon(self._carry, carried)
        try:
            await self._until_finished(call, attempt)
            result = await attempt.result()
        finally:
            if not attempt.has_ended:
                carried.scope.cancel()
            with anyio.CancelScope(shield=True):
                await attempt.close()
        if attempt.must_wait:
            context.undo_if_failed(attempt.undo)
        return result

    def stored(self, key: str) -> None:
        """Let the worker of an attempt forget it; see `Placement`."""
        if (carried := self._carried.pop(key, None)) is not None:
            carried.attempt.accept()

    def leave(self) -> None:
        """Let attempts that are cancelled from now on run on; see `Placement`."""
        self._leaves = True

    def abandon(self) -> None:
        """Leave what the executor still carries to the next process; it ends with this."""
        for carried in self._carried.values():
            carried.attempt.leave()
            carried.scope.cancel()

    def _attempt(self, call: StepCall, context: StepContext) -> WorkerAttempt:
        run, ships = self._run, self._run.executor.ships
        work = Work(
            call=run.conceal(call),
            package=run.package_id,
            on_interrupt=context.on_interrupt,
            effects=dict(context.earlier_effects),
            artifacts="shared" if ships is None else "ship",
        )

        def report(message: str, code: str) -> None:
            event = EventFactory(context.clock, context.flow_id, context.run_id).make(
                Notice,
                job_id=call.job_id,
                step_id=call.step_id,
                step_type=call.step_type,
                attempt=call.attempt,
                level="warning",
                message=message,
                code=code,
            )
            run.announce(event)

        return WorkerAttempt(
            work,
            context,
            needs=run.needs_of(call),
            package_text=self._package_of,
            files=WorkerFiles(call, flow_folder=context.flow_place.directory, ships=ships),
            report=report,
        )

    def _package_of(self, package: str) -> str:
        if package != self._run.package_id:
            raise StepError(f"this engine has no package {package!r}", code="AF884")
        return self._run.package_text()

    async def _carry(self, carried: _Carried) -> None:
        attempt = carried.attempt
        try:
            with carried.scope:
                await self._run.executor.run(attempt)
            attempt.fail(AttemptLost("the executor has forgotten the attempt", code="AF802"))
        except StepError as error:
            attempt.fail(error)
        except Exception as error:  # noqa: BLE001 - the fault of an executor ends the attempt, not the run
            attempt.fail(AttemptLost(f"the executor failed: {named(error)}", code="AF802"))

    async def _until_finished(self, call: StepCall, attempt: WorkerAttempt) -> None:
        """Return when it is known how the attempt ended; a cancellation stops it, and is for `result`."""

        async def stop_if_cancelled() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                await self._stop(call, attempt)

        try:
            async with one_error() as watch:
                watch.start_soon(stop_if_cancelled)
                with anyio.CancelScope(shield=True):
                    await attempt.follow()
                watch.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            if not attempt.finished.is_set():
                raise

    async def _stop(self, call: StepCall, attempt: WorkerAttempt) -> None:
        """Let an attempt end, and give it up if it does not end in time."""
        if attempt.finished.is_set():
            return
        if self._leaves:
            attempt.leave()
            return
        attempt.stop("the step was cancelled, or its time is over")
        seconds = grace_seconds(call.inputs) + self._run.stop_seconds
        with anyio.move_on_after(seconds, shield=True):
            await attempt.finished.wait()
            return
        lost = AttemptLost(
            f"the worker {attempt.where} did not end attempt {call.attempt} of {call.job_id}.{call.step_id} "
            f"within {seconds:g} s",
            hint="look at that worker: the step may still run there; what it returns does not count",
            code="AF800",
        )
        attempt.report(lost.message, lost.code)  # the step may end with its time limit, or CANCELLED
        attempt.fail(lost)


@asynccontextmanager
async def worker_placement(run: WorkersOfRun) -> AsyncIterator[WorkerPlacement]:
    """Open a placement for the length of a run.

    What has no stored end when the block ends is left to the next process, as its workers keep it.
    """
    async with one_error() as tasks:
        placement = WorkerPlacement(run, tasks)
        try:
            yield placement
        finally:
            placement.abandon()
            tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_SECONDS


def grace_seconds(inputs: Mapping[str, Any]) -> float:
    """Return how long a step may take to end when it is asked to: its thread, or a program of it."""
    written = inputs.get("kill_grace_seconds")
    if isinstance(written, str):
        try:
            written = parse_duration(written)
        except ValueError:  # the worker says what is wrong with it
            return THREAD_STOP_SECONDS
    if isinstance(written, int | float):
        return max(float(written), THREAD_STOP_SECONDS)
    return THREAD_STOP_SECONDS
