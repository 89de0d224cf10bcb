"""Perform the step of an attempt on a worker: its context, whose services ask the engine, and its end."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from aetherflow.clock import SystemClock
from aetherflow.errors import ConfigError, ErrorInfo
from aetherflow.events.masking import masked
from aetherflow.events.run_events import Event, Notice, StepOutput, StepProgress
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.execution.local_placement import call_nested, call_step
from aetherflow.execution.ports import LogLine, OutputLine, Progress, StepCall
from aetherflow.execution.worker_messages import Answer, NotedLineage, Work
from aetherflow.process import guardian
from aetherflow.process.printed_output import recorded_output
from aetherflow.redaction import Redactor, names_a_secret
from aetherflow.runs.background import reports_of
from aetherflow.sdk.connector import Resource
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Place
from aetherflow.sdk.json_values import plain_json, plain_text
from aetherflow.sdk.marks import check_mark_text
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepResult, StepType
from aetherflow.sdk.step_failure import failure_of, stored_text
from aetherflow.sdk.workspace import Workspace
from aetherflow.task_errors import leaves
from aetherflow.worker.attempt_files import AttemptFiles
from aetherflow.worker.engine_link import EngineLink
from aetherflow.worker.run_on_worker import RunOnWorker
from aetherflow.worker.twins import LocksOfEngine, MarksOfEngine, effects_of_engine

THREADS = 8
"""How many blocking calls of one attempt run at once."""


class PerformedStep:
    """The step of one attempt, from its context to its answer."""

    def __init__(self, run: RunOnWorker, work: Work, link: EngineLink) -> None:
        """Prepare the context of the step; nothing runs yet."""
        self._run = run
        self._link = link
        self._files = AttemptFiles(work, run.package.place, link.ask_and_block, self._warn)
        self._call = self._files.call
        self._effects = effects_of_engine(link, work.effects)
        self._programs = f"{work.call.run_id}/{work.call.job_id}/{work.call.step_id}/{os.urandom(4).hex()}"
        self._connectors = ConnectorPool(
            self._resource, run.types.connector_class, knows=run.package.resources.__contains__
        )
        self._context = StepContext(
            self._services(),
            job_id=work.call.job_id,
            step_id=work.call.step_id,
            step_type=work.call.step_type,
            attempt=work.call.attempt,
            effects=self._effects,
            marks=MarksOfEngine(link),
            on_interrupt=work.on_interrupt,
        )

    async def perform(self) -> Answer:
        """Run the step; return its answer, masked. What it left running has ended then.

        Raises:
            Exception: what the step raises.
        """
        context = self._context
        step_type = self._run.step_type(self._call.step_type, self._call.version)
        context.is_foreign = step_type.is_foreign
        inputs = self._run.revealed(self._call.inputs)
        context.redactor.add_named(inputs)
        try:
            async with self._files.used():
                result = await self._result(step_type, inputs)
        except BaseException:
            await context.undo()
            raise
        return self._answer(result, must_wait=context.has_to_undo)

    async def _result(self, step_type: StepType, inputs: dict[str, Any]) -> StepResult:
        context = self._context
        try:
            async with context.recording_output():
                result = await call_step(context, step_type, inputs)
            return self._masked(result)
        finally:
            await self._close()

    async def undo(self) -> None:
        """Undo what the step left, because the engine could not conclude it."""
        await self._context.undo()

    def failed(self, error: BaseException) -> Answer:
        """Return the answer of a step that raised this."""
        info, trace = failure_here(error, self._context.redactor, self._run.place)
        answer = msgspec.structs.replace(self._answer(None), error=info, trace=trace)
        return self._files.there(answer)

    def stopped(self) -> Answer:
        """Return the answer of a step that was stopped."""
        return self._answer(None)

    def _answer(self, result: StepResult | None, *, must_wait: bool = False) -> Answer:
        context = self._context
        answer = Answer(
            result,
            lineage=NotedLineage(**context.noted_lineage.fields(context.redactor)),
            progress_note=context.redactor.text(stored_text(context.progress_note)),
            must_wait=must_wait,
        )
        return self._files.there(answer)

    def _masked(self, result: StepResult) -> StepResult:
        """Return a result without secrets; what it names like one is a secret from now on.

        Raises:
            StepError: it cannot be written as JSON, or a mark holds a secret.
        """
        redactor, plain = self._context.redactor, plain_json(result.outputs)
        redactor.add_named({key: value for key, value in plain.items() if names_a_secret(key)})
        for name, mark in result.marks.items():
            check_mark_text("name", name, redactor)
            check_mark_text("value", mark.text, redactor)
        reason = redactor.text(plain_text(result.reason)) if result.reason else ""
        return StepResult(result.status, redactor.value(plain), reason, result.marks)

    async def _close(self) -> None:
        """End what the step left in the background, and close its connectors."""
        self._effects.close()
        with anyio.CancelScope(shield=True):  # bounded: each part of it has a deadline
            for line in reports_of(await guardian.end_leftovers(self._programs), "attempt"):
                self._context.log(line.message, line.level)
            for problem in await self._connectors.aclose():
                self._context.log(problem.message, "warning")

    def _resource(self, name: str) -> Resource:
        return self._run.resource(name, mark=self._mark, warn=self._warn)

    def _mark(self) -> dict[str, str]:
        return {guardian.MARK: guardian.new_mark(self._programs)}

    def _warn(self, message: str) -> None:
        self._context.log(message, "warning")

    def _services(self) -> RunServices:
        package, call = self._run.package, self._call
        return RunServices(
            flow_id=call.flow_id,
            run_id=call.run_id,
            env=self._run.environment.variables,
            clock=SystemClock(),
            redactor=self._run.redactor,
            workspace=_workspace(call),
            log_directory=Path(call.directories.logs),
            connectors=self._connectors,
            locks=LocksOfEngine(self._link),
            nested_step=partial(call_nested, step_type_of=self._nested_type),
            announce=self._announce,
            threads=anyio.CapacityLimiter(THREADS),
            zip_drivers=None if package.zip_drivers is None else frozenset(package.zip_drivers),
            execution=package.execution,
            strict_templates=package.strict_templates,
            scheduled_at=package.scheduled_at,
            run_date=package.run_date,
            record_output=recorded_output,
            place=self._files.place,
            trace=RunTrace(
                call.flow_id,
                call.run_id,
                package.traceparent,
                package.tracestate,
                execution=package.execution,
            ),
            programs_of=self._programs,
            publisher=self._files.publisher,
        )

    def _nested_type(self, name: str) -> StepType:
        return self._run.step_type(name, "")

    def _announce(self, event: Event) -> None:
        """Send an event of the step, masked; called in any thread."""
        shown = masked(event, self._run.redactor)
        match shown:
            case Notice():
                self._link.say(LogLine(self._files.text_there(shown.message), shown.level))
            case StepOutput():
                text = self._files.text_there(shown.text)
                line = OutputLine(shown.stream, text, shown.more_bytes, shown.is_unfinished)
                self._link.say(line)
            case StepProgress():
                self._link.say(Progress(shown.done, shown.total, shown.unit, shown.note))
            case _:
                raise TypeError(f"a step announces no {type(shown).__name__}")


def failure_here(error: BaseException, redactor: Redactor, place: Place) -> tuple[ErrorInfo, str]:
    """Return a failure as `failure_of` does; what may be right on another worker names this one."""
    info, trace = failure_of(error, redactor)
    if any(isinstance(one, ConfigError) for one in leaves(error)):
        info = info.with_remark(f"on worker {place.worker} of host {place.host}")
    return info, trace


def _workspace(call: StepCall) -> Workspace:
    directories = call.directories
    return Workspace(
        Path(directories.work),
        call.flow_id,
        call.run_id,
        directories.layout,
        directories.strict,
        None if directories.allowed is None else tuple(map(Path, directories.allowed)),
        directories.access,
    )
