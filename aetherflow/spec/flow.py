"""The flow file as typed, frozen Structs: exactly the keys a user may write (manual, flow-file)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from aetherflow.events.occasions import Occasion
from aetherflow.spec.spelling import AS_DURATION, IS_DURATION, NUMBERS_AS_WRITTEN, SCALARS_AS_WRITTEN

JobStatus = Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "SKIPPED", "BLOCKED", "CANCELLED"]
StepStatus = Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "SKIPPED", "CANCELLED"]
RetryOn = Literal["timeout", "connection", "exit_code", "lost", "any"]
OnCrash = Literal["resume", "fail", "leave"]
OnStale = Literal["warn", "rerun", "fail"]
ParamType = Literal[
    "string", "int", "float", "bool", "date", "datetime", "duration", "path", "list", "json", "enum"
]

TEN_YEARS = 315_360_000
"""The longest duration in seconds; what lies beyond, infinity too, makes no date."""

HOOKS = ("on_success", "on_failure", "on_exit")
"""The keys of a flow that hold hooks, in the order in which the hooks run."""

IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""The ids of flows, jobs, steps and items as a regular expression."""
LONGEST_ID = 128

Identifier = Annotated[
    str,
    Meta(
        pattern=rf"^{IDENTIFIER}(?!\n)$",  # `$` alone would let a last line feed pass
        max_length=LONGEST_ID,
        description="a name of letters, digits, '_', '.' and '-', with no '.' or '-' first",
    ),
]
PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0, le=TEN_YEARS, extra=IS_DURATION, extra_json_schema=AS_DURATION)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=TEN_YEARS, extra=IS_DURATION, extra_json_schema=AS_DURATION)]
Value = Annotated[Any, Meta(extra=NUMBERS_AS_WRITTEN)]
"""Any value; a number that JSON would write otherwise (3.10, 007) is the text of it."""
ParamValue = Annotated[Any, Meta(extra=SCALARS_AS_WRITTEN)]
"""Any value that is read again along the type of a parameter."""
ExecutorOptions = Annotated[dict[str, dict[str, Any] | None], Meta(min_length=1, max_length=1)]
ExecutorSpec = str | ExecutorOptions
"""Where attempts run: the name of an executor, or its name with its options."""
LOCAL = "local"
"""The executor that is no plugin: attempts run in the process of the run."""
Amount = Annotated[float, Meta(gt=0)]
Label = Annotated[str, Meta(min_length=1)]


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A mapping of the file; unknown keys are errors.

    `gc=False`: the Structs are frozen trees without cycles, and a large flow has very many of them.

    Attributes:
        called: how a message names the mapping.
    """

    called: ClassVar[str] = "this mapping"


class WorkspaceSpec(_Spec, frozen=True):
    """`flow.workspace`: where the files of a run live and when they are removed.

    Attributes:
        root: the folder of all runs, relative to this file; default: AETHERFLOW_WORK_ROOT; may use env and
            params.
        cleanup_policy: when the files of a run are removed at its end.
        layout: the names of the folders `artifacts`, `scratch` and `manifests`.
    """

    called = "'workspace'"

    root: str | None = None
    cleanup_policy: Literal["on_success", "always", "never"] = "on_success"
    layout: dict[str, str] = {}


class StateSpec(_Spec, frozen=True):
    """`flow.state`: the database that remembers the runs.

    Attributes:
        backend: the kind of database.
        path: relative to this file; default: aetherflow.sqlite below AETHERFLOW_STATE_ROOT; may use env and
            params.
        synchronous: full survives a power loss; normal is faster and survives a crash.
    """

    called = "'state'"

    backend: Literal["sqlite"] = "sqlite"
    path: str | None = None
    synchronous: Literal["full", "normal"] = "full"


class LocksSpec(_Spec, frozen=True):
    """`flow.locks`: whether two runs of the flow, or of one of its jobs, exclude each other.

    Attributes:
        scope: none, job (the same job of two runs), or flow (two runs).
        ttl_seconds: how long the lock of a holder that died on another host counts.
    """

    called = "'locks'"

    scope: Literal["none", "job", "flow"] = "none"
    ttl_seconds: PositiveSeconds = 600


class ParamSpec(_Spec, frozen=True):
    """`flow.params.NAME`: a typed parameter of a run.

    Attributes:
        type: what the value must be.
        default: the value when none is given.
        description: what it is for.
        required: whether a value must be given; default: yes, unless there is a default.
        enum: the values that are allowed; empty: all.
        pattern: a regular expression for the whole text, or for each item of a list.
        min: the least number, date, time or duration; of a text or list the least length.
        max: the greatest one.
    """

    called = "a parameter"

    type: ParamType = "string"
    default: ParamValue = msgspec.UNSET
    description: str = ""
    required: bool | None = None
    enum: list[ParamValue] = []
    pattern: str | None = None
    min: ParamValue = None
    max: ParamValue = None

    @property
    def is_required(self) -> bool:
        """Whether a run needs a value: as the flow says, else unless there is a default, null included."""
        return self.default is msgspec.UNSET if self.required is None else self.required


class RetrySpec(_Spec, frozen=True):
    """`retry` of the flow, a job or a step; seconds.

    Attributes:
        max_attempts: the first one included.
        backoff_seconds: the wait before the second attempt.
        backoff_multiplier: what each further wait is longer by.
        max_backoff_seconds: the longest wait.
        jitter: whether waits are shortened by chance, so that not all come back at once.
        retry_on: which failures are tried again.
    """

    called = "'retry'"

    max_attempts: PositiveInt = 1
    backoff_seconds: Seconds = 0
    backoff_multiplier: Annotated[float, Meta(ge=1)] = 2
    max_backoff_seconds: Seconds = 300
    jitter: bool = True
    retry_on: list[RetryOn] = msgspec.field(default_factory=lambda: ["any"])


class StepSpec(_Spec, frozen=True):
    """One step: a type and what it gets.

    Attributes:
        id: unique in its job; others read its outputs as steps.ID.KEY.
        type: what it does; `aetherflow steps list` names the types.
        description: what it is for.
        inputs: what the type takes; values may be templates.
        outputs: what it adds to the outputs of its job, from templates with `result`.
        on_no_data: skip_job ends the job SKIPPED when this step is SKIPPED.
        timeout_seconds: how long an attempt may take.
        retry: whether a failed attempt is repeated.
        continue_on_error: whether the job continues after a failure; the step stays FAILED.
        on_interrupt: what a resume does with the step if its process had died in the middle of it.
        pool: whose slots it needs while it runs; `aetherflow pools set NAME SLOTS` makes a pool.
        slots: how many of them.
        executor: where its attempts run; default: as its job says.
        resources: how much it takes of what workers offer, by name, beside what its job says.
        runs_on: the label of the workers that may run it; default: as its job says.
    """

    called = "a step"

    id: Identifier
    type: str
    description: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Value] = {}
    on_no_data: Literal["skip_job"] | None = None
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None
    continue_on_error: bool = False
    on_interrupt: Literal["rerun", "fail", "skip"] = "rerun"
    pool: Identifier | None = None
    slots: PositiveInt = 1
    executor: ExecutorSpec | None = None
    resources: dict[str, Amount] = {}
    runs_on: Label | None = None


class NotifySpec(_Spec, frozen=True):
    """An entry of `notify`: who gets a message about what, and how.

    Attributes:
        to: mail, webhook (an HTTP request) or command (a program).
        on: about what; late is for a scheduler file only.
        resource: what it is sent by: a resource of kind mail, or for a webhook one of kind rest.
        recipients: who gets the mail: addresses with commas between them, or a list.
        subject: of the mail; default: "{{notify.subject}}".
        body: the text of a mail, the body of a webhook (a mapping or list is sent as JSON), the standard
            input of a command; default: "{{notify.text}}", for a webhook {"text": "{{notify.short}}"}.
        url: where a webhook is, instead of `resource`; it is a secret and never shown.
        headers: of the request of a webhook.
        command: the program and its arguments; no shell reads them.
        env: more variables for the program.
        runs: scheduled: only about runs that an item of a scheduler file has started.
        timeout_seconds: how long sending may take, retries included.
        retry: when sending is repeated; default: 3 attempts, after 2 and 4 s.
    """

    called = "an entry of 'notify'"

    to: Literal["mail", "webhook", "command"]
    on: Annotated[list[Occasion], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["failure", "recovery"]
    )
    resource: str | None = None
    recipients: str | list[str] = []
    subject: str | None = None
    body: Value = None
    url: str | dict[str, str] | None = None
    headers: dict[str, str] = {}
    command: list[str] = []
    env: dict[str, str] = {}
    runs: Literal["all", "scheduled"] = "all"
    timeout_seconds: PositiveSeconds = 60
    retry: RetrySpec | None = None


class JobSpec(_Spec, frozen=True):
    """One job: steps that run in order.

    Attributes:
        id: unique in the flow; others read its outputs as jobs.ID.outputs.KEY.
        steps: run in order.
        description: what it is for.
        depends_on: jobs that must have ended SUCCESS.
        when: a condition; if it is false the job is SKIPPED.
        for_each: a list, a mapping, a matrix, or a template that gives a list: an instance for each `item`.
        max_parallel: how many instances run at once.
        timeout_seconds: how long the job may take.
        retry: the default of its steps.
        executor: where its steps run; default: as the flow says.
        resources: how much each of its steps takes of what workers offer, by name.
        runs_on: the label of the workers that may run its steps.
    """

    called = "a job"

    id: Identifier
    steps: Annotated[list[StepSpec], Meta(min_length=1)]
    description: str = ""
    depends_on: list[str] = []
    when: str | bool | None = None
    for_each: Value = None
    max_parallel: PositiveInt | None = None
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None
    executor: ExecutorSpec | None = None
    resources: dict[str, Amount] = {}
    runs_on: Label | None = None


class FlowMeta(_Spec, frozen=True):
    """`flow`: what holds for the whole run.

    Attributes:
        id: the name of the flow.
        description: what it is for.
        workspace: where the files of a run live.
        state: where the state lives.
        locks: whether runs exclude each other.
        params: the parameters of a run, by name.
        timezone: the zone of the run's dates, an IANA name; default: that of the schedule item, else UTC.
        executor: where steps run: local (here), dask, or {dask: {OPTIONS}}; default: as the settings say.
        max_parallel_jobs: default: 4 per CPU, at least 8, on a cluster 4 times what its workers run at
            once; 1 runs strictly in the order of the file.
        fail_fast: whether the first failed job stops the run.
        timeout_seconds: how long the run may take.
        retry: the default of all steps.
        on_stale: what a resume does about a result that stays although what it had read runs again.
        on_crash: what happens to a run whose server died; default: as the scheduler file says, else resume.
        on_success: steps that run after a run that succeeded.
        on_failure: steps that run after a run that failed.
        on_exit: steps that run after every run.
        notify: who gets a message when a run fails, succeeds after a failure, or succeeds.
    """

    called = "'flow'"

    id: Identifier
    description: str = ""
    workspace: WorkspaceSpec = WorkspaceSpec()
    state: StateSpec = StateSpec()
    locks: LocksSpec = LocksSpec()
    params: dict[str, ParamSpec] = {}
    timezone: str | None = None
    executor: ExecutorSpec | None = None
    max_parallel_jobs: PositiveInt | None = None
    fail_fast: bool = False
    timeout_seconds: PositiveSeconds | None = None
    retry: RetrySpec | None = None
    on_stale: OnStale = "warn"
    on_crash: OnCrash | None = None
    on_success: list[StepSpec] = []
    on_failure: list[StepSpec] = []
    on_exit: list[StepSpec] = []
    notify: list[NotifySpec] = []


class ResourceSpec(_Spec, frozen=True):
    """`resources.NAME`: what a connector is opened with, before templates and decoding.

    Attributes:
        kind: what it is, such as db.
        driver: how it is reached; `aetherflow connectors list` names the pairs kind:driver.
        profile: an entry of the profiles file that these keys are laid over.
        config: where it is, and who connects; values may use {{env.NAME}}.
        options: how it is used; values may use {{env.NAME}}.
        decode: the fields that go through the secrets provider.
    """

    called = "a resource"

    kind: str
    driver: str
    profile: str | None = None
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    decode: dict[str, Any] = {}

    @property
    def connector(self) -> str:
        """The name of the connector: `kind:driver`."""
        return f"{self.kind}:{self.driver}"


class FlowFile(_Spec, frozen=True):
    """The whole file.

    Attributes:
        version: the version of this format.
        flow: what holds for the whole run.
        jobs: what is done.
        resources: what steps connect to, by name.
    """

    called = "the flow file"

    version: Literal[1]
    flow: FlowMeta
    jobs: Annotated[list[JobSpec], Meta(min_length=1)]
    resources: dict[str, ResourceSpec] = {}

    @property
    def is_placed(self) -> bool:
        """Whether it says anything about where its steps run."""
        hooks = [step for name in HOOKS for step in getattr(self.flow, name)]
        return (
            self.flow.executor is not None
            or any(_is_placed(job) or any(map(_is_placed, job.steps)) for job in self.jobs)
            or any(map(_is_placed, hooks))
        )


def _is_placed(spec: JobSpec | StepSpec) -> bool:
    return spec.executor is not None or spec.runs_on is not None or bool(spec.resources)


class ProfileSpec(_Spec, frozen=True):
    """One entry of the profiles file: the part of a resource that differs between places.

    Attributes:
        config: where it is, and who connects; values may use {{env.NAME}}.
        options: how it is used; values may use {{env.NAME}}.
        decode: the fields that go through the secrets provider.
    """

    called = "a profile"

    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    decode: dict[str, Any] = {}


def is_flow(file: Any) -> bool:
    """Whether the plain data of a file is meant as a flow: it has jobs and no items of a schedule."""
    return isinstance(file, dict) and "jobs" in file and "items" not in file
