"""The plan of a flow: its jobs as a graph, templates and conditions parsed, references checked. Pure.

Built once when the flow is loaded, and the same for every run of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from aetherflow.language.template import Template
from aetherflow.sdk.step import StepType
from aetherflow.spec.flow import FlowMeta, ResourceSpec, RetrySpec, StepSpec
from aetherflow.spec.flow_place import FlowPlace
from aetherflow.spec.messages import MessageStep
from aetherflow.spec.yaml_scalars import scalar_value

if TYPE_CHECKING:
    from aetherflow.language.condition import Condition

N = TypeVar("N")

RUN_KEYS = (
    *("id", "started_at", "scheduled_at", "date", "timezone"),
    *("attempt", "status", "reason", "failed_jobs", "errors"),
)
"""What templates and conditions may name of the run: `run.id` and so on."""

DAY_ROOTS = ("today", "yesterday")
"""The date of the run and the day before it, as templates and conditions name them."""

MESSAGE_ROOT = "notify"
MESSAGE_KEYS = (
    *("event", "subject", "text", "short", "status", "reason", "failures", "resume"),
    *("duration", "duration_seconds", "flow", "run", "item", "scheduled_at", "ended_at", "host"),
)
"""What the templates of a message may name: `notify.text` and so on."""

FLOW_KEYS = ("id", "dir", "file")
"""What templates may name of the flow: `flow.dir` and so on."""

ABSENT = "-"
"""The fingerprint of a key that a job does not have."""


def _fingerprint(value: Any) -> str:
    """Return 16 hex digits that change when the value changes."""
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=8).hexdigest()


def _with_numbers(value: Any) -> Any:
    """Return a value with numbers for the texts that spell one, as it was read before spellings counted."""
    if isinstance(value, dict):
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    try:
        number = scalar_value(value) if isinstance(value, str) else value
    except ValueError:
        return value  # too large for a number
    return number if type(number) in (int, float) else value


class StepPlan(msgspec.Struct, frozen=True, gc=False):
    """A step, ready to run.

    Attributes:
        line: where it is in the flow file, from 1.
        version: the version of the distribution of its type, if known.
        follows: the step that it follows: the flow has only that one, and this one runs if it succeeded.
    """

    spec: StepSpec
    inputs: Template
    outputs: Template
    retry: RetrySpec
    line: int
    version: str = ""
    follows: str = ""

    @property
    def id(self) -> str:
        """The id of the step within its job."""
        return self.spec.id

    def fingerprint(self) -> str:
        """Return 16 hex digits that change when the flow defines this step otherwise."""
        return _fingerprint([self.spec.type, self.inputs.raw, self.spec.outputs])

    def is_defined_as(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of this definition, also one made before texts kept their spelling."""
        spec = self.spec
        plain = [spec.type, spec.inputs, spec.outputs]
        before = [spec.type, spec.inputs, _with_numbers(spec.outputs)]
        return fingerprint in (self.fingerprint(), _fingerprint(plain), _fingerprint(before))


class JobPlan(msgspec.Struct, frozen=True, gc=False):
    """A job, ready to run.

    Attributes:
        index: its position in the file; ready jobs start in this order.
        line: where it is in the flow file, from 1.
        needs: indexes of the jobs that must have ended SUCCESS (`depends_on`).
        after: indexes of the jobs that must have ended, with any status (the job refers to them).
    """

    index: int
    id: str
    steps: tuple[StepPlan, ...]
    line: int
    needs: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    when: Condition | None = None
    for_each: Template | None = None
    max_parallel: int | None = None
    timeout_seconds: float | None = None

    def written_steps(self) -> Iterator[tuple[int, StepPlan]]:
        """Yield the steps that the flow has, with their places in it: without those that follow one."""
        return enumerate(step for step in self.steps if not step.follows)

    @property
    def gate(self) -> str:
        """A fingerprint of `when`; a dash if the job has none."""
        return ABSENT if self.when is None else _fingerprint(self.when.text)

    @property
    def listing(self) -> str:
        """A fingerprint of `for_each`; a dash if the job has none."""
        return ABSENT if self.for_each is None else _fingerprint(self.for_each.raw)

    def is_listed_as(self, listing: str) -> bool:
        """Whether `listing` is that of this job, also one made before numbers kept their spelling."""
        raw = None if self.for_each is None else self.for_each.raw
        return listing == self.listing or (raw is not None and listing == _fingerprint(_with_numbers(raw)))


class Plan(msgspec.Struct, frozen=True):
    """Everything an executor needs to know of a flow.

    Attributes:
        hooks: the steps of `on_success`, `on_failure` and `on_exit`, if there are any, as jobs named
            `@on_success` and so on; they run after all jobs have ended.
        step_types: the types of the steps by name, looked up when the flow was checked.
        place: where the flow file is.
    """

    flow: FlowMeta
    file: str
    jobs: tuple[JobPlan, ...]
    resources: dict[str, ResourceSpec]
    definition: str
    hooks: tuple[JobPlan, ...] = ()
    step_types: dict[str, StepType] = {}
    place: FlowPlace = FlowPlace()

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        return self.flow.id

    @property
    def has_alert_messages(self) -> bool:
        """Whether its jobs send the messages of a scheduler file; those of a flow are hooks."""
        return any(isinstance(step.spec, MessageStep) for job in self.jobs for step in job.steps)

    def may_leave(self, step: StepPlan) -> bool:
        """Whether a step may run on a worker; messages, and types that need the engine, stay with it."""
        step_type = self.step_types.get(step.spec.type)
        if step_type is None or isinstance(step.spec, MessageStep):
            return False
        return step_type.placement_with(step.spec.inputs) == "anywhere"

    @property
    def flow_names(self) -> dict[str, str]:
        """The names below `flow` in templates."""
        return {"id": self.flow.id, "dir": self.place.directory, "file": self.place.file}


def upstream(plan: Plan, job_ids: Iterable[str]) -> set[int]:
    """Return the indexes of these jobs and of every job they need or wait for."""
    return before(plan, _indexes(plan, job_ids))


def before(plan: Plan, jobs: Iterable[int]) -> set[int]:
    """Return the indexes of these jobs and of every job they need or wait for, by index."""
    return _reach(lambda index: (*plan.jobs[index].needs, *plan.jobs[index].after), jobs)


def downstream(plan: Plan, job_ids: Iterable[str]) -> set[int]:
    """Return the indexes of these jobs and of every job that needs or waits for them."""
    edges: dict[int, list[int]] = {}
    for job in plan.jobs:
        for earlier in (*job.needs, *job.after):
            edges.setdefault(earlier, []).append(job.index)
    return _reach(lambda index: edges.get(index, ()), _indexes(plan, job_ids))


def followers(plan: Plan, job_ids: Iterable[str]) -> set[int]:
    """Return the indexes of every job that needs or waits for one of these: of these only those that do."""
    wanted = set(_indexes(plan, job_ids))
    first = [job.id for job in plan.jobs if not wanted.isdisjoint((*job.needs, *job.after))]
    return downstream(plan, first)


def _indexes(plan: Plan, job_ids: Iterable[str]) -> list[int]:
    wanted = set(job_ids)
    return [job.index for job in plan.jobs if job.id in wanted]


def _reach(next_of: Callable[[int], Iterable[int]], start: Iterable[int]) -> set[int]:
    found = set(start)
    open_ends = list(found)
    while open_ends:
        for other in next_of(open_ends.pop()):
            if other not in found:
                found.add(other)
                open_ends.append(other)
    return found


def find_cycle(edges: Mapping[N, Collection[N]]) -> list[N] | None:
    """Return the nodes of one cycle in order (the first one again at the end), or None.

    It begins with its node that is the first one in `edges`, which has every node.
    """
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        cycle: list[N] = error.args[1][:0:-1]
        order = {node: number for number, node in enumerate(edges)}
        first = cycle.index(min(cycle, key=order.__getitem__))
        return [*cycle[first:], *cycle[: first + 1]]
    return None
