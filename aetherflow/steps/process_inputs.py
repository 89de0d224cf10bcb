"""The inputs of `external.process`: as a flow spells them, and their older spellings."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from aetherflow.errors import FailureKind
from aetherflow.execution.backoff import exponential
from aetherflow.process.output_recorder import Mode
from aetherflow.sdk.input_types import PathText
from aetherflow.spec.flow import PositiveInt, PositiveSeconds, Seconds, Value
from aetherflow.spec.size import parse_size
from aetherflow.spec.spelling import JSON_AS_TEXT
from aetherflow.steps.named_values import Parse

T = TypeVar("T")

OneOrMany = PathText | list[PathText] | None
Variable = Annotated[str, Meta(extra=JSON_AS_TEXT)]
CaptureLimit = Annotated[int, Meta(ge=0)]


class _Spelling(NamedTuple):
    """Two keys that mean the same; the first one takes what the second says, after a conversion of each."""

    key: str
    other: str
    convert: Callable[[Any], Any]
    convert_other: Callable[[Any], Any]


def _listed(value: T | list[T] | None) -> list[T]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_SPELLINGS = (
    _Spelling("max_capture_bytes", "max_capture_kb", int, lambda kilobytes: 1024 * kilobytes),
    _Spelling("backoff_seconds", "sleep_seconds", float, float),
    _Spelling("require_files", "required_files", _listed, _listed),
    _Spelling("require_glob", "required_globs", _listed, _listed),
    _Spelling("forbid_files", "forbidden_files", _listed, _listed),
)


class _Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the inputs; unknown keys are errors, and of two spellings the first has the value."""

    def __post_init__(self) -> None:
        for key, other, convert, convert_other in _SPELLINGS:
            if other not in self.__struct_fields__ or getattr(self, other) is None:
                continue
            value, given = convert_other(getattr(self, other)), getattr(self, key)
            if given is not None and convert(given) != value:
                raise ValueError(f"{other} and {key} mean the same and differ: keep one of them")
            msgspec.structs.force_setattr(self, key, value)


class LogInputs(_Inputs, frozen=True):
    """`log`: where the output goes, besides the step's log file.

    Attributes:
        stdout: inherit (shown while it runs), capture (shown, and also an output), file (appended to
            `file_path`) or discard (goes nowhere, not even to the step's log file).
        stderr: likewise.
        file_path: relative to the job's artifacts folder.
        max_capture_kb: how much of the beginning of a captured stream becomes an output; default 1024.
        max_capture_bytes: the same in bytes.
    """

    stdout: Mode | None = "inherit"
    stderr: Mode | None = "inherit"
    file_path: PathText | None = None
    max_capture_kb: CaptureLimit | None = None
    max_capture_bytes: CaptureLimit | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if "file" in (self.stdout, self.stderr) and not self.file_path:
            raise ValueError("log.file_path is required when stdout or stderr is `file`")

    @property
    def captured_bytes(self) -> int:
        """The limit of a captured stream in bytes."""
        return 1024 * 1024 if self.max_capture_bytes is None else self.max_capture_bytes


class RetryInputs(_Inputs, frozen=True):
    """`retry`: whether and when the program is started again inside the step.

    Attributes:
        max_attempts: the first one included.
        backoff_seconds: the wait before the second attempt; also `sleep_seconds`.
        backoff_multiplier: what each further wait is longer by.
        max_backoff_seconds: the longest wait; 0: no limit.
        retry_on_exit_codes: only after these; without it, after every exit code that is no success.
        retry_on_timeout: also after a timeout.
    """

    max_attempts: PositiveInt = 1
    backoff_seconds: Seconds | None = None
    sleep_seconds: Seconds | None = None
    backoff_multiplier: Annotated[float, Meta(ge=1)] = 1
    max_backoff_seconds: Seconds = 0
    retry_on_exit_codes: int | list[int] | None = None
    retry_on_timeout: bool = False

    def next_wait(self, attempt: int, kind: FailureKind, exit_code: int) -> float | None:
        """Return the seconds between a failed attempt and the next one, or None if there is none."""
        codes = self.retry_on_exit_codes
        is_worth_it = {
            "timeout": self.retry_on_timeout,
            "exit_code": codes is None or exit_code in _listed(codes),
        }
        if attempt >= self.max_attempts or not is_worth_it.get(kind, False):
            return None
        most = self.max_backoff_seconds or math.inf
        return exponential(self.backoff_seconds or 0.0, self.backoff_multiplier, attempt, most)


class SuccessInputs(_Inputs, frozen=True):
    """`success`: what must hold after the program ended; paths are relative to the artifacts folder.

    Attributes:
        exit_codes: those of a success, one or a list; a program killed by a signal has minus its number.
        require_files: must exist; also `required_files`.
        require_glob: must match something; also `required_globs`.
        min_size: how large each required file, and each match of a pattern, must be at least: bytes or
            `10kB`, `1MiB`; a folder counts as all files in it.
        forbid_files: must not exist; also `forbidden_files`.
        marker_file: must exist; the program writes it last.
    """

    exit_codes: int | list[int] | None = 0
    require_files: OneOrMany = None
    required_files: OneOrMany = None
    require_glob: OneOrMany = None
    required_globs: OneOrMany = None
    min_size: int | str | None = None
    forbid_files: OneOrMany = None
    forbidden_files: OneOrMany = None
    marker_file: PathText | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_size is not None and not (self.require_files or self.require_glob):
            raise ValueError("success.min_size is the size of require_files or require_glob: name a file")
        parse_size(str(self.min_size or 0))

    @property
    def least_bytes(self) -> int:
        """How large a required file must be at least."""
        return parse_size(str(self.min_size or 0))

    @property
    def accepted(self) -> list[int]:
        """The exit codes of a success."""
        return _listed(self.exit_codes) or [0]

    @property
    def required(self) -> list[str]:
        """The files that must exist, the marker file among them."""
        return [*self.needed_files, *_listed(self.marker_file or None)]

    @property
    def needed_files(self) -> list[str]:
        """The files that must exist, without the marker file."""
        return _listed(self.require_files)

    @property
    def patterns(self) -> list[str]:
        """The patterns that must match something."""
        return _listed(self.require_glob)

    @property
    def forbidden(self) -> list[str]:
        """The files that must not exist."""
        return _listed(self.forbid_files)

    @property
    def has_checks(self) -> bool:
        """Whether there is anything to check but the exit code."""
        return bool(self.required or self.patterns or self.forbidden)


class IdempotencyInputs(_Inputs, frozen=True):
    """`idempotency`: how a step that runs again does no harm.

    Attributes:
        strategy: none; marker: SKIPPED when `marker_path` exists and the success checks hold; atomic_dir: the
            program writes to `temp_output_dir`, which becomes `final_output_dir` when it succeeded.
        marker_path: default: `success.marker_file`; written after a success.
        temp_output_dir: emptied before each attempt; the program finds it in AETHERFLOW_OUTPUT_DIR.
        final_output_dir: untouched by an attempt that fails.
        atomic_rename: replace the final folder by renaming; false: move the files into it one by one.
    """

    strategy: Literal["none", "marker", "atomic_dir"] | None = None
    marker_path: PathText | None = None
    temp_output_dir: PathText | None = None
    final_output_dir: PathText | None = None
    atomic_rename: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strategy == "atomic_dir" and not (self.temp_output_dir and self.final_output_dir):
            raise ValueError("idempotency.strategy atomic_dir needs temp_output_dir and final_output_dir")


class ProcessInput(_Inputs, frozen=True):
    """Inputs of `external.process`.

    Attributes:
        command: a list: the program and its arguments; a text: the name of one program, or, with `shell`,
            a command line for /bin/sh.
        args: more arguments.
        shell: run the command by /bin/sh -c; the items of a list and `args` are quoted.
        cwd: where the program starts: artifacts (the job's artifacts folder, the default), flow (the folder
            of the flow file), or a path, relative to the artifacts folder; a folder called flow is ./flow.
        env: more variables; null is the empty text, a mapping or list that a template gives becomes JSON.
        inherit_env: whether the program gets the run's environment; false: only `env` and AETHERFLOW_*.
        timeout_seconds: then the program and all that it started are ended.
        kill_grace_seconds: the time between SIGTERM and SIGKILL.
        stdin: text for the program's standard input, which is empty without it; a mapping or list becomes
            JSON.
        parse: makes values of stdout, which is captured then: `lines` (a list of the lines that are not
            blank), `json` (its value), or `kv` (a mapping of NAME=VALUE lines).
        outputs: added to the step's outputs as they are.
        leave_running: whether background processes that the program leaves outlive the run, if the step
            succeeds.
    """

    command: str | list[str]
    args: list[str] | None = None
    shell: bool = False
    cwd: PathText | None = None
    env: dict[str, Variable | None] | None = None
    inherit_env: bool = True
    timeout_seconds: PositiveSeconds | None = None
    kill_grace_seconds: Seconds = 15
    stdin: str | list[Any] | dict[str, Any] | None = None
    log: LogInputs | None = None
    retry: RetryInputs | None = None
    success: SuccessInputs | None = None
    idempotency: IdempotencyInputs | None = None
    parse: Parse | None = None
    outputs: dict[str, Value] | None = None
    leave_running: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.command or not self.command[0]:
            raise ValueError("command names no program")
        if self.parse and self.log and self.log.stdout in ("file", "discard"):
            raise ValueError(f"parse: {self.parse} captures stdout, log.stdout: {self.log.stdout} does not")


def argv_of(command: str | Sequence[str], args: Sequence[str], *, shell: bool) -> tuple[str, ...]:
    """Return the program and its arguments.

    Args:
        command: a list of words; or the name of a program, with `shell` a command line.
        args: more words, which a shell gets quoted.
        shell: whether /bin/sh runs the command.
    """
    if not isinstance(command, str):
        words = (*command, *args)
        return ("/bin/sh", "-c", shlex.join(words)) if shell else words
    if shell:
        return ("/bin/sh", "-c", " ".join([command, *map(shlex.quote, args)]))
    return (command, *args)
