"""The step `external.process`: run a program, end it in time, and check what it left behind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import anyio
import msgspec
from msgspec import UNSET, UnsetType

from aetherflow.errors import StepError
from aetherflow.process.guardian import end_program
from aetherflow.process.held_output import HeldOutput
from aetherflow.process.output_recorder import Mode, OutputPlan, OutputRecorder
from aetherflow.process.run_process import ProcessEnd, run_process
from aetherflow.process.spawn import Program
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import text_or_json
from aetherflow.sdk.services import Background
from aetherflow.sdk.step import OutputNames, Skipped, StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.steps import process_results as results
from aetherflow.steps.left_processes import leave_running, report_leftovers
from aetherflow.steps.named_values import Parse
from aetherflow.steps.output_file import VARIABLE as OUTPUT_VARIABLE
from aetherflow.steps.output_file import OutputFile, check_names
from aetherflow.steps.output_folder import OutputFolder, output_folder
from aetherflow.steps.process_failure import Attempt, unfinished
from aetherflow.steps.process_inputs import (
    IdempotencyInputs,
    LogInputs,
    ProcessInput,
    RetryInputs,
    SuccessInputs,
    argv_of,
)


class _Task(msgspec.Struct, frozen=True):
    """What every start of the program has in common."""

    program: Program
    plan: OutputPlan
    retry: RetryInputs
    success: SuccessInputs
    folder: OutputFolder | None
    output_file: OutputFile
    added: frozenset[str]
    parse: Parse | None
    timeout_seconds: float | None
    grace_seconds: float


class ProcessOutput(msgspec.Struct, frozen=True):
    """Outputs of `external.process`, besides those that `outputs` adds.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        attempts: how often the program was started.
        stdout: the captured beginning without its final line end, with `log.stdout: capture` or `parse`.
        stderr: likewise, with `log.stderr: capture`.
        parsed: with `parse`: the lines of stdout, its JSON value, or a mapping of its names and values.
        count: with `parse`: how many lines, items or entries that are.
        log_file: the file of the streams in mode `file`.
        skipped: true if the marker was there, and the program was not started.
        marker: the path of that marker.
        left_running: the ids of the processes that are left running, with `leave_running`.
    """

    exit_code: int
    attempts: int
    stdout: str | UnsetType = UNSET
    stderr: str | UnsetType = UNSET
    parsed: Any = UNSET
    count: int | UnsetType = UNSET
    log_file: str | UnsetType = UNSET
    skipped: bool | UnsetType = UNSET
    marker: str | UnsetType = UNSET
    left_running: list[int] | UnsetType = UNSET


def _names_outputs(inputs: Mapping[str, Any]) -> OutputNames:
    """Return the outputs of a step with these inputs; a program may add others ($AETHERFLOW_OUTPUT)."""
    absent = {}
    log = inputs.get("log") or {}
    for stream in ("stdout", "stderr"):
        mode = log.get(stream, "inherit") if isinstance(log, Mapping) else "capture"
        if mode in get_args(Mode) and mode != "capture" and not (stream == "stdout" and inputs.get("parse")):
            absent[stream] = f"only what is captured is an output: add log: {{{stream}: capture}}"
    if not inputs.get("parse"):
        absent["parsed"] = "add parse: lines, json or kv"
    if inputs.get("leave_running") is False or "leave_running" not in inputs:
        absent["left_running"] = "add leave_running: true"
    names = frozenset(ProcessOutput.__struct_fields__) - absent.keys() - {"count"}
    added = inputs.get("outputs")
    more = frozenset(added) if isinstance(added, Mapping) else frozenset[str]()
    return OutputNames(names | more, absent, is_open=True)


_ALWAYS_TAKEN = frozenset(ProcessOutput.__struct_fields__) - {"parsed", "count"}


@step(
    "external.process",
    output=ProcessOutput,
    names_outputs=_names_outputs,
    coordinator_inputs=("leave_running",),
    visible={"command": "process list", "args": "process list"},
    program_inputs=("command", "args", "stdin"),
)
async def external_process(context: StepContext, inputs: ProcessInput) -> StepResult:
    """Run a program; SKIPPED when its marker says that the work is done."""
    idempotency = inputs.idempotency or IdempotencyInputs()
    task = _task(context, inputs, idempotency)
    marker = results.marker(context, idempotency, task.success)
    if marker is not None:
        if await context.run_blocking(results.still_holds, context, marker, task.success):
            given = await context.run_blocking(results.outputs_in, marker)
            own = {"skipped": True, "marker": str(marker)}
            return Skipped(f"the marker {marker} exists", {**given, **own})
    elif idempotency.strategy == "marker":
        context.log(
            "idempotency.strategy is marker, but there is no marker_path: it runs every time", "warning"
        )
    outputs, recorder, end = await _attempts(context, task)
    if marker is not None:
        await context.run_blocking(results.write_marker, context, marker, outputs)
    if inputs.leave_running:
        outputs["left_running"] = [one.process.pid for one in end.left]
        await leave_running(context, end, recorder, task.grace_seconds)
    else:
        report_leftovers(context, end, recorder)
    return StepResult(outputs={**outputs, **(inputs.outputs or {})})


async def _attempts(context: StepContext, task: _Task) -> tuple[dict[str, Any], OutputRecorder, ProcessEnd]:
    """Run the program until it succeeds or the retries are used up."""
    attempt = 1
    while True:
        with OutputRecorder(context, task.plan, attempt) as recorder:
            ended, failure = await _attempt(context, task, recorder, attempt)
        if failure is None:
            return ended.outputs, recorder, ended.end
        wait = task.retry.next_wait(attempt, failure.kind, ended.end.exit_code)
        if wait is None:
            raise failure
        context.log(
            f"attempt {attempt} of {task.retry.max_attempts} failed ({ended.how}); again in {wait:g} s",
            "warning",
        )
        context.progress_note = failure.message
        await context.clock.sleep(wait)
        attempt += 1


async def _attempt(
    context: StepContext, task: _Task, recorder: OutputRecorder, number: int
) -> tuple[Attempt, StepError | None]:
    """Run the program once; return how it ended, and why that is a failure, if it is."""
    if task.folder is not None:
        await context.run_blocking(task.folder.prepare)
    task.output_file.prepare()
    try:
        end = await run_process(
            task.program,
            run_id=context.programs_of,
            sinks=recorder.sinks,
            timeout_seconds=task.timeout_seconds,
            grace_seconds=task.grace_seconds,
            step=f"{context.job_id}.{context.step_id}",
            keep=None if context.background is None else partial(_keep, context.background, recorder),
        )
    except anyio.get_cancelled_exc_class():
        context.progress_note = unfinished(context, task.program, recorder)
        raise
    recorder.finish()
    if end.survivors:
        context.log(f"could not end the processes {', '.join(map(str, end.survivors))}", "warning")
    ended = Attempt(context, task.program, recorder, end, number)
    failure = ended.ending_failure(task.success.accepted, task.timeout_seconds)
    if failure is None and task.success.has_checks:
        problems = await context.run_blocking(results.failed_checks, context, task.success, task.folder)
        failure = ended.check_failure(problems, context.artifacts) if problems else None
    if failure is None:
        try:
            if task.parse is None and task.output_file.is_unwritten:
                ended.outputs = _own_outputs(task, recorder, ended)
            else:
                ended.outputs = await context.run_blocking(_outputs, context, task, recorder, ended)
        except StepError as error:
            failure = error
    task.output_file.remove()
    if failure is not None:
        # What a failed attempt left running would disturb the next one.
        await end_program(context.programs_of, end.mark, task.grace_seconds)
    elif task.folder is not None:
        await context.run_blocking(task.folder.publish)
    return ended, failure


def _task(context: StepContext, inputs: ProcessInput, idempotency: IdempotencyInputs) -> _Task:
    """Return what the inputs ask for, ready to be used.

    Raises:
        StepError: a path leaves the artifacts folder.
    """
    log = inputs.log or LogInputs()
    folder = output_folder(context, idempotency)
    directory = _directory(context, inputs.cwd or "artifacts")
    output_file = OutputFile(context)
    program = Program(
        argv=argv_of(inputs.command, inputs.args or (), shell=inputs.shell),
        directory=directory,
        environment=_environment(context, inputs, folder, output_file),
        stdin=None if inputs.stdin is None else text_or_json(inputs.stdin).encode("utf-8", "surrogateescape"),
    )
    plan = OutputPlan(
        stdout="capture" if inputs.parse else log.stdout or "inherit",
        stderr=log.stderr or "inherit",
        file=context.path(log.file_path) if log.file_path else None,
        captured_bytes=log.captured_bytes,
    )
    return _Task(
        program=program,
        plan=plan,
        retry=inputs.retry or RetryInputs(),
        success=inputs.success or SuccessInputs(),
        folder=folder,
        output_file=output_file,
        added=frozenset(inputs.outputs or {}),
        parse=inputs.parse,
        timeout_seconds=inputs.timeout_seconds,
        grace_seconds=inputs.kill_grace_seconds,
    )


def _directory(context: StepContext, cwd: str) -> Path:
    """Return the folder in which the program starts.

    Raises:
        StepError: a relative path leaves the artifacts folder, or a path is not allowed in enterprise mode.
    """
    match cwd:
        case "artifacts":
            return context.artifacts
        case "flow":
            return context.path(context.flow_place.directory or ".")
        case _:
            return context.path(cwd)


def _environment(
    context: StepContext, inputs: ProcessInput, folder: OutputFolder | None, output_file: OutputFile
) -> dict[str, str]:
    """Return the program's environment; `env` of the step overrides everything else."""
    environment = dict(context.env) if inputs.inherit_env else {}
    environment.pop("TRACESTATE", None)  # it belongs to a TRACEPARENT
    environment |= {
        "AETHERFLOW_FLOW_ID": context.flow_id,
        "AETHERFLOW_RUN_ID": context.run_id,
        "AETHERFLOW_RUN_DATE": context.run_date,
        "AETHERFLOW_SCHEDULED_AT": context.scheduled_at,
        "AETHERFLOW_JOB_ID": context.job_id,
        "AETHERFLOW_STEP_ID": context.step_id,
        "AETHERFLOW_IDEMPOTENCY_KEY": context.idempotency_key,
        OUTPUT_VARIABLE: str(output_file.path),
        **context.trace_variables,
        **context.flow_place.variables,
    }
    if folder is not None:
        environment["AETHERFLOW_OUTPUT_DIR"] = str(folder.temporary)
    own = {name: value or "" for name, value in (inputs.env or {}).items()}
    if "TRACEPARENT" in own:
        environment.pop("TRACESTATE", None)
    return environment | own


def _own_outputs(task: _Task, recorder: OutputRecorder, ended: Attempt) -> dict[str, Any]:
    """Return the outputs of a program that succeeded, without those that it wrote."""
    outputs: dict[str, Any] = {
        "exit_code": ended.end.exit_code,
        "attempts": ended.number,
        **recorder.captured(),
    }
    if task.plan.file is not None and "file" in (task.plan.stdout, task.plan.stderr):
        outputs["log_file"] = str(task.plan.file)
    return outputs


def _outputs(context: StepContext, task: _Task, recorder: OutputRecorder, ended: Attempt) -> dict[str, Any]:
    """Return the outputs of a program that succeeded: of the step itself, and those that it wrote.

    Raises:
        StepError: what it wrote cannot be read.
    """
    outputs = _own_outputs(task, recorder, ended)
    if task.parse is not None:
        outputs |= results.parsed_output(context, recorder, task.plan.captured_bytes, task.parse)
    named = task.output_file.read()
    check_names(named, outputs.keys() | _ALWAYS_TAKEN | task.added)
    return outputs | named


def _keep(background: Background, recorder: OutputRecorder, held: HeldOutput) -> None:
    """Record what background processes write until the run ends."""
    recorder.keep(held)
    background.start(held)
