"""The flow file as typed, frozen Structs: exactly the keys a user may write (README, «Flow file»)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

JobStatus = Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "SKIPPED", "BLOCKED", "CANCELLED"]
StepStatus = Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "SKIPPED", "CANCELLED"]
RunStatus = Literal["RUNNING", "SUCCESS", "FAILED", "CANCELLED"]
RetryOn = Literal["timeout", "connection", "exit_code", "any"]
OnCrash = Literal["resume", "fail", "leave"]
ParamType = Literal["string", "int", "float", "bool", "date", "datetime", "json", "enum"]

_TEN_YEARS = 315_360_000  # seconds; what lies beyond, infinity too, makes no date

Identifier = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*(?!\n)$",  # `$` alone would let a last line feed pass
        max_length=128,
        description="a name of letters, digits, '_', '.' and '-' that begins with a letter or '_'",
    ),
]
PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0, le=_TEN_YEARS)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=_TEN_YEARS)]


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A mapping of the file; unknown keys are errors.

    `gc=False`: the Structs are frozen trees without cycles, and a large flow has very many of them.

    Attributes:
        called: how a message names the mapping.
    """

    called: ClassVar[str] = "this mapping"


class WorkspaceSpec(_Spec, frozen=True):
    """`flow.workspace`: where the files of a run live and when they go."""

    called = "'workspace'"

    root: str | None = None
    cleanup_policy: Literal["on_success", "always", "never"] = "on_success"
    layout: dict[str, str] = {}


class StateSpec(_Spec, frozen=True):
    """`flow.state`: the database that remembers the runs."""

    called = "'state'"

    backend: Literal["sqlite"] = "sqlite"
    path: str | None = None
    synchronous: Literal["full", "normal"] = "full"


class LocksSpec(_Spec, frozen=True):
    """`flow.locks`: whether two runs of the flow, or of one of its jobs, exclude each other."""

    called = "'locks'"

    scope: Literal["none", "job", "flow"] = "none"
    ttl_seconds: PositiveSeconds = 600


class ParamSpec(_Spec, frozen=True):
    """`flow.params.NAME`: a typed parameter of a run."""

    called = "a parameter"

    type: ParamType = "string"
    default: Any = None
    description: str = ""
    required: bool = False
    enum: list[Any] = []


class RetrySpec(_Spec, frozen=True):
    """`retry` of the flow, a job or a step; seconds."""

    called = "'retry'"

    max_attempts: PositiveInt = 1
    backoff_seconds: Seconds = 0
    backoff_multiplier: Annotated[float, Meta(ge=1)] = 2
    max_backoff_seconds: Seconds = 300
    jitter: bool = True
    retry_on: list[RetryOn] = msgspec.field(default_factory=lambda: ["any"])


class StepSpec(_Spec, frozen=True):
    """One step: a type and what it gets."""

    called = "a step"

    id: Identifier
    type: str
    description: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    on_no_data: Literal["skip_job"] | None = None
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None
    continue_on_error: bool = False
    on_interrupt: Literal["rerun", "fail", "skip"] = "rerun"


class JobSpec(_Spec, frozen=True):
    """One job: steps that run in order."""

    called = "a job"

    id: Identifier
    steps: Annotated[list[StepSpec], Meta(min_length=1)]
    description: str = ""
    depends_on: list[str] = []
    when: str | bool | None = None
    for_each: Any = None
    max_parallel: PositiveInt | None = None
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None


class FlowMeta(_Spec, frozen=True):
    """`flow`: what holds for the whole run."""

    called = "'flow'"

    id: Identifier
    description: str = ""
    workspace: WorkspaceSpec = WorkspaceSpec()
    state: StateSpec = StateSpec()
    locks: LocksSpec = LocksSpec()
    params: dict[str, ParamSpec] = {}
    max_parallel_jobs: PositiveInt | None = None
    fail_fast: bool = False
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None
    on_crash: OnCrash | None = None
    on_success: list[StepSpec] = []
    on_failure: list[StepSpec] = []
    on_exit: list[StepSpec] = []


class ResourceSpec(_Spec, frozen=True):
    """`resources.NAME`: what a connector is opened with, before templates and decoding."""

    called = "a resource"

    kind: str
    driver: str
    profile: str | None = None
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    decode: dict[str, Any] = {}


class FlowFile(_Spec, frozen=True):
    """The whole file."""

    called = "the flow file"

    version: Literal[1]
    flow: FlowMeta
    jobs: Annotated[list[JobSpec], Meta(min_length=1)]
    resources: dict[str, ResourceSpec] = {}


class ProfileSpec(_Spec, frozen=True):
    """One entry of the profiles file: the part of a resource that differs between places."""

    called = "a profile"

    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    decode: dict[str, Any] = {}
