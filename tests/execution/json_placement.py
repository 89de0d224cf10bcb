"""A placement that stands for a remote worker: a thread with a loop of its own; all that passes is JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import msgspec

from aetherflow.clock import SystemClock
from aetherflow.errors import ErrorInfo, StepError
from aetherflow.events.run_events import Event, Notice, StepOutput, StepProgress
from aetherflow.execution.local_placement import call_step
from aetherflow.execution.ports import (
    LogLine,
    Message,
    OutputLine,
    Progress,
    ProgressNote,
    StepCall,
    environment_fingerprint,
    show,
)
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.redaction import Redactor
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import as_text
from aetherflow.sdk.lock_wait import OnLockWait, report_to_nobody
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepResult, StepType
from aetherflow.sdk.step_failure import describe
from aetherflow.sdk.workspace import Workspace


class Answer(msgspec.Struct, frozen=True):
    """How a call ended: with a result, with an error, or (neither) because it was stopped."""

    result: StepResult | None = None
    error: ErrorInfo | None = None


class JsonPlacement:
    """Performs calls in another thread.

    Attributes:
        calls: what was performed, as it arrived there.
        forged: messages that the worker sends besides what the step says.
    """

    def __init__(self, step_types: Mapping[str, StepType], env: Mapping[str, str]) -> None:
        self.calls: list[StepCall] = []
        self.forged: list[bytes] = []
        self._step_types = step_types
        self._environments = {environment_fingerprint(env): dict(env)}

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Send the call, show what comes back, return the answer."""
        context.on_placed("thread", "here")
        receive = partial(self._receive, context)
        loop = anyio.lowlevel.current_token()
        worker = _Worker(self, lambda data: anyio.from_thread.run_sync(receive, data, token=loop))
        answers: list[bytes] = []
        ended = anyio.Event()

        async def work() -> None:
            with anyio.CancelScope(shield=True):
                answers.append(await anyio.to_thread.run_sync(worker.run, msgspec.json.encode(call)))
                ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            try:
                await ended.wait()
            except anyio.get_cancelled_exc_class():
                worker.stop()
                raise
        answer = msgspec.json.decode(answers[0], type=Answer)
        if answer.error is not None:
            error = answer.error
            raise StepError(
                error.message, hint=error.hint, code=error.code, kind=error.kind, detail=error.detail
            )
        if answer.result is None:
            raise StepError("the worker stopped the step, though nobody asked it to", kind="connection")
        return answer.result

    def leave(self) -> None:
        """Do nothing: the thread ends with this process."""

    def known(self, call: StepCall) -> tuple[StepType, dict[str, str]]:
        """Return what the worker knows already."""
        self.calls.append(call)
        return self._step_types[call.step_type], self._environments[call.environment]

    @staticmethod
    def _receive(context: StepContext, data: bytes) -> None:
        try:
            message = msgspec.json.decode(data, type=Message)
        except msgspec.ValidationError:
            return  # not what a step may say
        show(message, context)


class _Nothing:
    """What a remote worker of this kind does not have."""

    async def get(self, name: str, user: object = None) -> NoReturn:
        raise StepError(f"no resource {name} for {user}")

    def knows(self, name: str) -> bool:
        assert name
        return False

    async def release(self, user: object) -> list[ErrorInfo]:
        assert user
        return []

    def hold(
        self,
        key: str,
        *,
        ttl_seconds: float,
        wait_seconds: float,
        job_id: str,
        step_id: str,
        on_wait: OnLockWait = report_to_nobody,
    ) -> NoReturn:
        raise AssertionError((key, ttl_seconds, wait_seconds, job_id, step_id, on_wait))

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> NoReturn:
        raise AssertionError((context, inputs))


class _Worker:
    """The far side of one call."""

    def __init__(self, placement: JsonPlacement, send: Callable[[bytes], None]) -> None:
        self._placement = placement
        self._send = send
        self._scope = anyio.CancelScope()
        self._loop: anyio.lowlevel.EventLoopToken | None = None
        self._is_stopped = False

    def run(self, sent: bytes) -> bytes:
        """Perform the call; called in a thread."""
        return anyio.run(self._main, msgspec.json.decode(sent, type=StepCall))

    def stop(self) -> None:
        """Ask the step to stop; called in the thread of the coordinator."""
        self._is_stopped = True
        if self._loop is not None:
            anyio.from_thread.run_sync(self._scope.cancel, token=self._loop)

    async def _main(self, call: StepCall) -> bytes:
        self._loop = anyio.lowlevel.current_token()
        step_type, env = self._placement.known(call)
        context = self._context(call, env)
        answer = Answer()
        for data in self._placement.forged:
            self._send(data)
        with self._scope:
            if self._is_stopped:
                self._scope.cancel()
            try:
                answer = Answer(await call_step(context, step_type, call.inputs))
            except BaseException as error:
                if is_our_cancellation(error):
                    raise
                answer = Answer(error=describe(error))
            finally:
                if context.progress_note:
                    self._send(msgspec.json.encode(ProgressNote(context.progress_note)))
        try:
            return msgspec.json.encode(answer, enc_hook=as_text)
        except RecursionError as error:
            return msgspec.json.encode(Answer(error=describe(error)))

    def _context(self, call: StepCall, env: Mapping[str, str]) -> StepContext:
        directories = call.directories
        unused = _Nothing()
        workspace = Workspace(
            Path(directories.work),
            call.flow_id,
            call.run_id,
            directories.layout,
            directories.strict,
            None if directories.allowed is None else tuple(map(Path, directories.allowed)),
            directories.access,
        )
        services = RunServices(
            flow_id=call.flow_id,
            run_id=call.run_id,
            env=env,
            clock=SystemClock(),
            redactor=Redactor(),
            workspace=workspace,
            log_directory=Path(directories.logs),
            connectors=unused,
            locks=unused,
            nested_step=unused,
            announce=self._announce,
            threads=anyio.CapacityLimiter(4),
            execution=call.execution,
        )
        return StepContext(
            services,
            job_id=call.job_id,
            step_id=call.step_id,
            step_type=call.step_type,
            attempt=call.attempt,
        )

    def _announce(self, event: Event) -> None:
        match event:
            case Notice(level=level, message=message):
                self._send(msgspec.json.encode(LogLine(message, level)))
            case StepOutput():
                line = OutputLine(event.stream, event.text, event.more_bytes, event.is_unfinished)
                self._send(msgspec.json.encode(line))
            case StepProgress(done=done, total=total, unit=unit, note=note):
                self._send(msgspec.json.encode(Progress(done, total, unit, note)))
            case _:
                raise AssertionError(event)
