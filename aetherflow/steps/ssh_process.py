"""The step `ssh.process`: run a program on another host, over the connector that also moves files there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
from msgspec import UNSET, Meta, UnsetType

from aetherflow.errors import StepError
from aetherflow.process.output_recorder import OutputPlan, OutputRecorder
from aetherflow.process.remote_script import RemoteCommand
from aetherflow.process.run_process import ProcessEnd
from aetherflow.process.run_remote import RemoteEnd, run_remote
from aetherflow.process.spawn import Program
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import text_or_json
from aetherflow.sdk.remote_shell import RemoteShell
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.flow import PositiveSeconds, Seconds, Value
from aetherflow.spec.spelling import JSON_AS_TEXT
from aetherflow.steps import process_results as results
from aetherflow.steps.named_values import Parse
from aetherflow.steps.process_failure import Attempt, unfinished
from aetherflow.steps.process_inputs import LogInputs, argv_of

NOT_STARTED = 126
"""The exit code if the folder cannot be entered, or the shell may not execute the program."""

Text = Annotated[str, Meta(min_length=1)]
Variable = Annotated[str, Meta(extra=JSON_AS_TEXT)]


class RemoteSuccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`success`: what counts as a success.

    Attributes:
        exit_codes: one or a list; a program killed by a signal has minus its number.
    """

    exit_codes: int | list[int] | None = 0

    @property
    def accepted(self) -> list[int]:
        """The exit codes of a success."""
        codes = self.exit_codes
        return [0] if codes is None else codes if isinstance(codes, list) else [codes]


class SshProcessInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of `ssh.process`.

    Attributes:
        resource: a resource of kind sftp: the host and how to log in.
        command: a list: the program and its arguments, quoted for the remote shell; a text: the name of one
            program, or, with `shell`, a command line for /bin/sh there.
        args: more arguments.
        shell: run the command by /bin/sh -c; the items of a list and `args` are quoted.
        cwd: a folder there; without it the home folder of the user.
        env: variables for the program; null is the empty text. They are not in the list of processes.
        timeout_seconds: then the program and its process group are ended.
        kill_grace_seconds: the time between SIGTERM and SIGKILL.
        stdin: text for the program's standard input, which is empty without it; a mapping or list becomes
            JSON.
        log: where the output goes, as for `external.process`.
        success: the exit codes of a success.
        parse: makes values of stdout, as for `external.process`: lines, json or kv.
        outputs: added to the step's outputs as they are.
        leave_running: whether background processes that the program leaves there may run on.
    """

    resource: Text
    command: str | list[str]
    args: list[str] | None = None
    shell: bool = False
    cwd: Text | None = None
    env: dict[str, Variable | None] | None = None
    timeout_seconds: PositiveSeconds | None = None
    kill_grace_seconds: Seconds = 15
    stdin: str | list[Any] | dict[str, Any] | None = None
    log: LogInputs | None = None
    success: RemoteSuccess | None = None
    parse: Parse | None = None
    outputs: dict[str, Value] | None = None
    leave_running: bool = False

    def __post_init__(self) -> None:
        """Check that there is a command, and that what is parsed is captured.

        Raises:
            ValueError: it is not so.
        """
        if not self.command or not self.command[0]:
            raise ValueError("command names no program")
        if self.parse and self.log and self.log.stdout in ("file", "discard"):
            raise ValueError(f"parse: {self.parse} captures stdout, log.stdout: {self.log.stdout} does not")


class SshProcessOutput(msgspec.Struct, frozen=True):
    """Outputs of `ssh.process`, besides those that `outputs` adds.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        host: where it ran.
        stdout: the captured beginning without its final line end, with `log.stdout: capture` or `parse`.
        stderr: likewise, with `log.stderr: capture`.
        parsed: with `parse`: the lines of stdout, its JSON value, or a mapping of its names and values.
        count: with `parse`: how many lines, items or entries that are.
        log_file: the local file of the streams in mode `file`.
    """

    exit_code: int
    host: str
    stdout: str | UnsetType = UNSET
    stderr: str | UnsetType = UNSET
    parsed: Any = UNSET
    count: int | UnsetType = UNSET
    log_file: str | UnsetType = UNSET


@step(
    "ssh.process",
    visible={"command": "process list", "args": "process list"},
    program_inputs=("command", "args", "stdin"),
    output=SshProcessOutput,
)
async def ssh_process(context: StepContext, inputs: SshProcessInput) -> dict[str, Any]:
    """Run a program on another host; its process group there ends with the step.

    Raises:
        StepError: the host cannot be reached, the connection was lost, or the program failed.
    """
    shell = await _shell(context, inputs.resource)
    argv = argv_of(inputs.command, inputs.args or (), shell=inputs.shell)
    log = inputs.log or LogInputs()
    plan = OutputPlan(
        stdout="capture" if inputs.parse else log.stdout or "inherit",
        stderr=log.stderr or "inherit",
        file=context.path(log.file_path) if log.file_path else None,
        captured_bytes=log.captured_bytes,
    )
    shown = Program(argv=(f"{shell.place}:", *argv), directory=Path(inputs.cwd or "."), environment={})
    with OutputRecorder(context, plan) as recorder:
        try:
            end = await run_remote(
                shell,
                RemoteCommand(argv, inputs.cwd or "", _environment(context, inputs.env or {})),
                stdin=None
                if inputs.stdin is None
                else text_or_json(inputs.stdin).encode("utf-8", "surrogateescape"),
                sinks=recorder.sinks,
                timeout_seconds=inputs.timeout_seconds,
                grace_seconds=inputs.kill_grace_seconds,
                leave_running=inputs.leave_running,
            )
        except anyio.get_cancelled_exc_class():
            context.progress_note = unfinished(context, shown, recorder)
            raise
        recorder.finish()
    failure = _failure(context, shown, recorder, end, inputs)
    if failure is not None:
        raise failure
    outputs: dict[str, Any] = {"exit_code": end.exit_code, "host": shell.place, **recorder.captured()}
    if plan.file is not None and "file" in (plan.stdout, plan.stderr):
        outputs["log_file"] = str(plan.file)
    if inputs.parse is not None:
        outputs |= results.parsed_output(context, recorder, plan.captured_bytes, inputs.parse)
    return outputs | (inputs.outputs or {})


async def _shell(context: StepContext, resource: str) -> RemoteShell:
    """Return the connector of the host.

    Raises:
        StepError: it cannot be opened, or runs no programs.
    """
    found = await context.connector(resource)
    if not isinstance(found, RemoteShell):
        raise StepError(
            f"resource {resource!r} runs no programs",
            hint="name a resource of kind sftp: ssh.process uses the same connection",
            code="AF362",
        )
    return found


def _environment(context: StepContext, env: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables that name the run and those of the step; the local environment stays here."""
    own = {
        "AETHERFLOW_FLOW_ID": context.flow_id,
        "AETHERFLOW_RUN_ID": context.run_id,
        "AETHERFLOW_RUN_DATE": context.run_date,
        "AETHERFLOW_SCHEDULED_AT": context.scheduled_at,
        "AETHERFLOW_JOB_ID": context.job_id,
        "AETHERFLOW_STEP_ID": context.step_id,
        "AETHERFLOW_IDEMPOTENCY_KEY": context.idempotency_key,
        **context.trace_variables,
    }
    if "TRACEPARENT" in env:
        own.pop("TRACESTATE", None)  # it belongs to the trace of the run
    return own | {name: value or "" for name, value in env.items()}


def _failure(
    context: StepContext, shown: Program, recorder: OutputRecorder, end: RemoteEnd, inputs: SshProcessInput
) -> StepError | None:
    accepted = (inputs.success or RemoteSuccess()).accepted
    ended = ProcessEnd(end.exit_code, mark="", timed_out=end.timed_out)
    failure = Attempt(context, shown, recorder, ended, 1).ending_failure(accepted, inputs.timeout_seconds)
    if failure is not None and inputs.cwd and end.exit_code == NOT_STARTED:
        failure.hint = (
            f"check that the folder {inputs.cwd} is there, and that the user may execute the program"
        )
    return failure
