"""The events of a run: typed, frozen, named in the past tense.

A run is its journalled events: its state is the fold over them (`aetherflow.engine.state`). The transient
ones (`TRANSIENT`) are shown to observers and never stored. May import `errors` only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.lineage import Dataset, Statement
from aetherflow.events.marks import MarkUse
from aetherflow.events.planned_jobs import PlannedJob

JobEnd = Literal["SUCCESS", "FAILED", "SKIPPED", "BLOCKED", "CANCELLED"]
StepEnd = Literal["SUCCESS", "FAILED", "SKIPPED", "CANCELLED"]
RunEnd = Literal["SUCCESS", "FAILED", "CANCELLED"]
Origin = Literal["", "serve"]
"""Who executes a run: a person's command (empty), or a server, which resumes it after a crash."""

CancelCause = Literal["request", "timeout", "fail_fast", "stop"]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class Event(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="event", tag=_snake
):
    """What every event has: its time (UTC) and its run.

    The bus numbers what it gives to observers; in the journal the number is a column, not part of the event.

    Attributes:
        seq: of a stored event its number in the history of the run, from 1 on; of a transient one the number
            of the stored event before it; 0: not numbered.
        sub_seq: of a transient event which one it is after that stored event, from 1 on.
    """

    at: datetime
    flow_id: str
    run_id: str
    seq: int = 0
    sub_seq: int = 0


class JobEvent(Event, frozen=True, kw_only=True):
    """An event of one job, or of one instance of a mapped job."""

    job_id: str


class StepEvent(JobEvent, frozen=True, kw_only=True):
    """An event of one attempt of one step."""

    step_id: str
    step_type: str
    attempt: int = 1


class RunStarted(Event, frozen=True, kw_only=True):
    """A new run began; `flow_file` is as it was given, relative to the working directory `directory`.

    Attributes:
        scheduled_at: the time for which the run was scheduled (RFC 3339); empty: the time when it began.
        secrets: parameters that are stored masked and whose values do not come from the flow.
        timezone: the zone of the run's dates (IANA); empty: UTC.
        plan: the jobs of the flow in order, and its hooks.
        traceparent: the span in which the run was started, if it was (W3C Trace Context).
        tracestate: what systems of that trace pass on with it.
        executor: the executor that `--executor` named; empty: none was named.
    """

    flow_file: str
    owner: str
    params: dict[str, Any] = {}
    secrets: list[str] = []
    selected_job: str = ""
    definition: str = ""
    directory: str = ""
    origin: Origin = ""
    scheduled_at: str = ""
    timezone: str = ""
    bundle: BundleUse | None = None
    plan: list[PlannedJob] = []
    traceparent: str = ""
    tracestate: str = ""
    executor: str = ""


class RunResumed(Event, frozen=True, kw_only=True):
    """A run that had failed, was cancelled or had died is resumed; what had not succeeded is PENDING again.

    Attributes:
        attempt: the number of this execution of the run (the first one was 1).
        rerun: `job` or `job/step` entries that run again although they succeeded.
        reopened: jobs that had ended well and continue: a step, or an instance, of theirs is still to run.
        excluded_jobs: jobs that do not take part; an ended one does not change, nor do its instances.
        removed: `job` or `job/step` entries that the flow no longer has; the state drops them.
        ending_count: how often the run had ended; the hooks of those endings stay as they are.
        directory: the working directory, to which `flow_file` is relative.
        only: the one job that runs again, if only one was requested.
        decisions: what the resume does about each step and why, by kind (`keep`, `rerun` ...), as
            `job.step (REASON)`; of each kind the first ones only.
        decision_counts: how many there are of each kind.
        recoveries: how often in a row a server died in a step of the run and no step had succeeded meanwhile;
            0 if a person resumes it.
        plan: the jobs of the flow as it is now, in order, and its hooks.
        stale: results that stay although what they had read runs again: by reader (`job`, `job[n]` or
            `job/step`), what it had read.
        reattached: `job/step` entries whose attempts workers still have: they stay RUNNING.
        traceparent: the span in which the run was started, which its trace continues.
        resumed_in: the span in which it is resumed now, if it is: mostly of another trace.
        executor: the executor that `--executor` named this time; empty: none was named.
    """

    attempt: int
    owner: str
    flow_file: str = ""
    selected_job: str = ""
    definition: str = ""
    rerun: list[str] = []
    reopened: list[str] = []
    excluded_jobs: list[str] = []
    removed: list[str] = []
    ending_count: int = 0
    directory: str = ""
    only: str = ""
    decisions: dict[str, list[str]] = {}
    decision_counts: dict[str, int] = {}
    origin: Origin = ""
    recoveries: int = 0
    bundle: BundleUse | None = None
    plan: list[PlannedJob] = []
    stale: dict[str, list[str]] = {}
    reattached: list[str] = []
    traceparent: str = ""
    resumed_in: str = ""
    executor: str = ""

    @property
    def counts_by_kind(self) -> dict[str, int]:
        """How many decisions there are of each kind; an event of an earlier version may have no counts."""
        return self.decision_counts or {kind: len(found) for kind, found in self.decisions.items()}


class CancelRequested(Event, frozen=True, kw_only=True):
    """The run must stop: by a request, its own time limit, a failed job (`fail_fast`) or its server (`stop`).

    With the cause `stop` the run does not end: the next server resumes it.
    """

    reason: str
    cause: CancelCause = "request"


class HooksStarted(Event, frozen=True, kw_only=True):
    """All jobs have ended; the hooks for this status (`on_success`, `on_failure`, `on_exit`) follow."""

    status: RunEnd
    reason: str = ""


class RunFinished(Event, frozen=True, kw_only=True):
    """The run ended; counts by status, durations in seconds.

    Attributes:
        jobs: how many jobs, by status; among them the instances of jobs with `for_each`.
        instances: how many of the `jobs` are instances, by status.
        stale: results that are older than what they had read: by reader (`job`, `job[n]` or `job/step`),
            what it had read.
        resume_from: what a resume must run again as well, as the flow refuses stale results: `job.step`.
    """

    status: RunEnd
    duration_seconds: float
    reason: str = ""
    jobs: dict[str, int] = {}
    instances: dict[str, int] = {}
    steps: dict[str, int] = {}
    stale: dict[str, list[str]] = {}
    resume_from: list[str] = []


class StoredItems(msgspec.Struct, frozen=True, rename={"file": "$file"}):
    """The items of a mapped job that are too large for the journal: a file beside the step logs.

    Attributes:
        file: its path.
        bytes: its size.
        count: how many items it has.
    """

    file: str
    bytes: int
    count: int

    def __len__(self) -> int:
        return self.count


Items = list[Any] | StoredItems


class JobStarted(JobEvent, frozen=True, kw_only=True):
    """A job began, or continues after a resume; `items` are those of a mapped job (`for_each`).

    Attributes:
        when: fingerprint of the gate that was open.
        for_each: fingerprint of what listed the items; empty if they were known before.
        item: the item of an instance, in few characters.
        saw: the condition of its `when`, with the values that it read, in words.
    """

    items: Items | None = None
    item: str = ""
    when: str = ""
    for_each: str = ""
    saw: str = ""


class JobFinished(JobEvent, frozen=True, kw_only=True):
    """A job ended; SKIPPED and BLOCKED jobs end without having started.

    Attributes:
        when: fingerprint of the gate, if it was evaluated and the job did not begin.
        for_each: fingerprint of what listed no items.
    """

    status: JobEnd
    outputs: dict[str, Any] = {}
    reason: str = ""
    error: ErrorInfo | None = None
    when: str = ""
    for_each: str = ""


class StepWaiting(StepEvent, frozen=True, kw_only=True):
    """A step cannot begin yet: the slots of a pool that it needs are taken. It stays PENDING.

    Attributes:
        slots: how many it needs.
        held_by: the holders of slots; the first ones only.
        ahead: how many others wait before it in the queue.
    """

    pool: str
    slots: int
    size: int
    held_by: list[str] = []
    ahead: int = 0


class LockAwaited(StepEvent, frozen=True, kw_only=True):
    """A step that runs waits for a lock that another holds. It stays RUNNING.

    Attributes:
        lock: the name of the lock.
        held_by: the flow, run and step that held it when the wait began.
        since: since when it held the lock (RFC 3339).
        wait_seconds: how long the step waits at most; then it fails.
    """

    lock: str
    held_by: str
    since: str = ""
    wait_seconds: float = 0.0


class LockTaken(StepEvent, frozen=True, kw_only=True):
    """A step has the lock that it waited for.

    Attributes:
        lock: the name of the lock.
        waited_seconds: how long it waited.
    """

    lock: str
    waited_seconds: float = 0.0


class StepStarted(StepEvent, frozen=True, kw_only=True):
    """An attempt of a step began.

    Attributes:
        definition: fingerprint of the step in the flow.
        version: of the distribution that its step type comes from.
        executor: the executor whose workers it is given to; empty: it runs in the process of the run.
    """

    definition: str = ""
    version: str = ""
    executor: str = ""


class StepPlaced(StepEvent, frozen=True, kw_only=True):
    """A worker of an executor begins an attempt of a step, which has waited for one until now.

    Attributes:
        executor: the name of the executor.
        worker: the name of the worker.
        host: where the worker runs.
        is_reattached: the worker had begun it for an earlier process of the run, and runs on.
    """

    executor: str
    worker: str
    host: str
    is_reattached: bool = False


class ResultRefused(StepEvent, frozen=True, kw_only=True):
    """A worker sent the result of an attempt that does not count (any more). It changes no status.

    Attributes:
        executor: the name of the executor.
        worker: the name of the worker; empty if it never asked whether it may begin the attempt.
        host: where the worker runs; empty as `worker`.
        reason: why the result does not count.
    """

    executor: str
    worker: str = ""
    host: str = ""
    reason: str = ""


class StepRetrying(StepEvent, frozen=True, kw_only=True):
    """An attempt failed and another one follows after a wait.

    Attributes:
        max_attempts: how many attempts the flow allows; 0 if unknown.
    """

    wait_seconds: float
    error: ErrorInfo
    max_attempts: int = 0


class StepFinished(StepEvent, frozen=True, kw_only=True):
    """A step ended.

    Attributes:
        outputs: its own outputs; `job_outputs` are those that it adds to its job's outputs.
        was_interrupted: it ended without running again after an interruption (`on_interrupt`).
        marks: the high-water marks that it used, by name; of a SUCCESS only.
        reads: the files and tables that it read; at most 100.
        writes: those that it wrote; at most 100.
        statements: the SQL that it ran, and on which database.
    """

    status: StepEnd
    duration_seconds: float = 0.0
    outputs: dict[str, Any] = {}
    job_outputs: dict[str, Any] = {}
    reason: str = ""
    error: ErrorInfo | None = None
    was_interrupted: bool = False
    marks: dict[str, MarkUse] = {}
    reads: list[Dataset] = []
    writes: list[Dataset] = []
    statements: list[Statement] = []


class EffectIntended(StepEvent, frozen=True, kw_only=True):
    """A step is about to change something outside the run; stored before it does.

    Attributes:
        key: what the step does there, in its own words; one effect of a step has one key.
        detail: what is needed to verify later whether it happened: a path, a size, a checksum, a message id.
    """

    key: str
    detail: dict[str, Any] = {}


class EffectConfirmed(StepEvent, frozen=True, kw_only=True):
    """An effect that was intended has happened.

    Attributes:
        result: what the step noted about it; a later attempt gets it instead of repeating the effect.
        verified: an earlier attempt made the change without confirming it, and `verify` found it.
    """

    key: str
    result: dict[str, Any] = {}
    verified: bool = False


class StepProgress(StepEvent, frozen=True, kw_only=True):
    """How far a step has come (transient).

    Attributes:
        done: how much is done, in `unit`s.
        total: how much there is in all; absent if that is unknown.
        unit: rows, bytes, files ...
        note: what is being done now.
        level: `info` about once a minute, for the log; `debug` in between, for displays.
    """

    done: float
    total: float | None = None
    unit: str = ""
    note: str = ""
    level: Literal["debug", "info"] = "debug"


class StepOutput(StepEvent, frozen=True, kw_only=True):
    """A line that a program wrote (transient).

    Attributes:
        text: the line as it was written, with its colours; of a long one the first 64 KiB.
        more_bytes: how many more bytes the line has; the log file of the step has them all.
        is_unfinished: the program will write over the line, as a progress bar does; displays show it.
    """

    stream: Literal["stdout", "stderr"]
    text: str
    more_bytes: int = 0
    is_unfinished: bool = False

    @property
    def level(self) -> Literal["debug", "info"]:
        """How much it matters."""
        return "debug" if self.is_unfinished else "info"


class Notice(StepEvent, frozen=True, kw_only=True):
    """A message to people that changes no state (transient); about a step if it names one."""

    level: Literal["debug", "info", "warning", "error"]
    message: str
    code: str = ""
    job_id: str = ""
    step_id: str = ""
    step_type: str = ""
    attempt: int = 0


class RunPersisted(Event, frozen=True, kw_only=True):
    """The beginning of the run is stored: from now on another process can resume it (transient).

    Attributes:
        state: the absolute path of the state database.
        is_usual_state: whether a command that names no database finds this one.
        logs: the folder of the run's step logs.
        secrets: the parameters that a resume must be given again: they are secret, hence not stored.
        kept_jobs: of a resume, the jobs that have ended and do not run again.
        kept_instances: of a resume, by mapped job how many of its instances have ended.
    """

    state: str
    is_usual_state: bool = False
    logs: str = ""
    secrets: list[str] = []
    kept_jobs: list[str] = []
    kept_instances: dict[str, int] = {}


TRANSIENT = (StepOutput, StepProgress, Notice, RunPersisted)

Journalled = (
    RunStarted
    | RunResumed
    | CancelRequested
    | HooksStarted
    | RunFinished
    | JobStarted
    | JobFinished
    | StepWaiting
    | StepStarted
    | StepPlaced
    | ResultRefused
    | StepRetrying
    | LockAwaited
    | LockTaken
    | EffectIntended
    | EffectConfirmed
    | StepFinished
)
