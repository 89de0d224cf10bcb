"""The executors of a run: which step goes where, opened before the run begins and left after it has ended."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import get_args

import anyio
import msgspec

from aetherflow.engine.attempt_keys import attempts_in_flight
from aetherflow.engine.state import RunState, plan_job_id
from aetherflow.errors import AetherFlowError, StepError
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.ports import Placement, StepCall
from aetherflow.execution.shared_executors import SharedExecutors, executors_in_use
from aetherflow.execution.shared_folders import check_shared_folders
from aetherflow.execution.worker_placement import WorkersOfRun, worker_placement
from aetherflow.plan.plan import JobPlan, StepPlan
from aetherflow.plugin_output import Level
from aetherflow.runs.attempts_found import Found, end_others, find_attempts
from aetherflow.runs.chosen_executors import ExecutorChoice, key_of, named_executor, written_executor
from aetherflow.runs.early_notices import EarlyNotices
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.packed_run import packed_run
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.resolved_run import ResolvedRun
from aetherflow.runs.run_paths import resolve_run_paths
from aetherflow.runs.worker_check import (
    need_in_words,
    offers_in_words,
    refuse_other_versions,
    refuse_unmet_needs,
    unmet_need,
)
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Needs, OpenExecutor
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepResult
from aetherflow.spec.flow import LOCAL
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("packages of runs", 2)

NeedsOfSteps = dict[tuple[str, str], Needs]
"""What a worker must offer, by job and step."""

LOOK_SECONDS = 0.5
"""How often to look whether a worker has joined that offers what is needed."""

ENDED_WELL = frozenset({"SUCCESS", "SKIPPED"})


class StepPlaces:
    """Which step of a plan runs where.

    Attributes:
        choices: the executors that steps go to, by the names that events call them by.
    """

    def __init__(self, checked: CheckedFlow) -> None:
        self._checked = checked
        self._names: dict[str, str] = {LOCAL: ""}
        self.choices: dict[str, ExecutorChoice] = {}
        for key, choice in checked.executors.items():
            same = sum(1 for other in self.choices.values() if other.name == choice.name)
            name = f"{choice.name}-{same + 1}" if same else choice.name
            self._names[key], self.choices[name] = name, choice

    def executor_of(self, _job: JobPlan, step: StepPlan) -> str:
        """Return the executor that a step which may run anywhere is given to; empty: this process."""
        written = written_executor(step, self._checked.plan, self._checked.environment)
        return self._names[key_of(written)]

    def needs(self, jobs: Iterable[JobPlan]) -> dict[str, NeedsOfSteps]:
        """Return what the steps of jobs need that go to executors, by executor."""
        found: dict[str, NeedsOfSteps] = {}
        for job in jobs:
            for step in job.steps:
                if not self._checked.plan.may_leave(step):
                    continue
                if name := self.executor_of(job, step):
                    wanted = Needs(step.spec.resources, step.spec.runs_on or "")
                    found.setdefault(name, {})[job.id, step.id] = wanted
        return found


class RunExecutors:
    """The executors that a run needs.

    Attributes:
        places: which step goes where.
        opened: those that are open, by their names in events.
    """

    def __init__(
        self, run: ResolvedRun, state: RunState, shared: SharedExecutors, early: EarlyNotices
    ) -> None:
        """Find out which executors a run needs, whose history has led to `state`.

        `early` takes what they have to say before the run begins.
        """
        self.places = StepPlaces(run.checked)
        self._early = early
        self.opened: dict[str, OpenExecutor] = {}
        self._run = run
        self._params = {**run.params, **state.params}
        self._shared = shared
        self._stack = AsyncExitStack()
        self._needs = self.places.needs(jobs_to_run(run, state))
        in_flight = {attempt.executor for attempt in attempts_in_flight(state).values()}
        self._sought = sorted(in_flight - self._needs.keys())
        self._show: Callable[[str, str], None] | None = None

    async def open(self) -> None:
        """Open the executors, and check that their workers can run what is to run there.

        Raises:
            ConfigError: one cannot be used, a worker has other versions or does not see the folders of the
                run, or no worker offers what a step needs.
            ExecutorError: its workers cannot be reached.
        """
        async with self._early.shown_if_slow():
            for name, needs in self._needs.items():
                await self._open(name, self.places.choices[name], needs)
            for name in self._sought:
                await self._seek(name)

    async def _open(self, name: str, choice: ExecutorChoice, needs: NeedsOfSteps) -> None:
        opening = partial(choice.executor.open, choice.options)
        key = type(choice.executor), msgspec.json.encode(choice.options, enc_hook=repr)
        using = self._shared.use(key, name, opening, self._log)
        opened = await self._stack.enter_async_context(using)
        await self._check_workers(name, opened, {".".join(step): wanted for step, wanted in needs.items()})
        if opened.ships is None:
            await self._check_folders(name, opened)
        self.opened[name] = opened

    async def _check_workers(self, name: str, opened: OpenExecutor, needs: Mapping[str, Needs]) -> None:
        """Check versions, and that some worker offers what each step needs; wait for those that may join."""
        workers = await opened.workers()
        refuse_other_versions(name, workers)
        said = ""
        with anyio.move_on_after(opened.joins_within):
            while opened.joins_within and (unmet := unmet_need(workers, needs)) is not None:
                text = f"waiting for a worker of {name} that offers what {need_in_words(*unmet)}"
                if text != said:
                    said = text
                    self._log("info", f"{text}; those that are there offer: {offers_in_words(workers)}")
                await anyio.sleep(LOOK_SECONDS)
                workers = await opened.workers()
                refuse_other_versions(name, workers)
        refuse_unmet_needs(name, workers, needs)

    async def _seek(self, name: str) -> None:
        """Open an executor that may still have attempts of the run, though no step goes there any more."""
        checked, choices = self._run.checked, self.places.choices
        try:
            if name not in choices:
                choices[name] = named_executor(name, checked.environment, checked.redactor)
            self._needs[name] = {}
            await self._open(name, choices[name], {})
        except AetherFlowError as error:
            message = f"steps of the run may still work on the executor {name!r}, which cannot be asked: "
            self._early.add("warning", message + error.message)

    async def _check_folders(self, name: str, opened: OpenExecutor) -> None:
        checked = self._run.checked
        root = resolve_run_paths(checked, self._params, self._run.state).work_root
        file = checked.plan.place.file
        if not os.path.isfile(file):  # noqa: PTH113, ASYNC240 - one look; a flow may come by a pipe
            file = ""
        access = checked.environment.settings.file_access
        await check_shared_folders(name, opened, root, file, access)

    async def close(self) -> None:
        """Leave the executors; the last run that uses one closes it."""
        await self._stack.aclose()

    def notices(self) -> list[e.Notice]:
        """Return what the executors had to say before the run began, and nobody has seen."""
        return self._early.take()

    def show(self, announce: Callable[[e.Event], None], events: EventFactory) -> None:
        """Announce what the executors say from now on."""
        self._show = lambda level, text: announce(events.notice(_level(level), text))

    def _log(self, level: str, text: str) -> None:
        if self._show is None:
            self._early.add(_level(level), text)
        else:
            self._show(level, text)

    @property
    def slots(self) -> int:
        """How many attempts the workers run at once; 0 if unknown."""
        return sum(opened.slots for opened in self.opened.values())

    async def find(self, state: RunState) -> Found:
        """Return the attempts of a run that workers still have, before it is resumed."""
        return await find_attempts(self.opened, state)

    async def end_others(self, found: Found, event: e.Event) -> None:
        """End the attempts that were found and do not go on, before anything is begun again."""
        reattached = event.reattached if isinstance(event, e.RunResumed) else ()
        for step in await end_others(self.opened, found, reattached):
            self._early.add("warning", f"the attempt of {step} on a worker does not continue: it was ended")

    @asynccontextmanager
    async def placements(
        self, checked: CheckedFlow, services: RunServices
    ) -> AsyncIterator[dict[str, Placement]]:
        """Give what runs the attempts of the executors for a block, by the names of the executors."""
        pack = partial(
            packed_run,
            checked,
            services.trace or RunTrace(services.flow_id, services.run_id, execution=services.execution),
            scheduled_at=services.scheduled_at,
            run_date=services.run_date,
        )
        packed = await _threads.run(pack)
        async with AsyncExitStack() as stack:
            found: dict[str, Placement] = {name: NotOpen(name) for name in self.places.choices}
            for name, opened in self.opened.items():
                workers = WorkersOfRun(
                    executor=opened,
                    package_id=packed.id,
                    package_text=lambda: packed.text,
                    needs_of=partial(_needs_of_call, self._needs[name]),
                    announce=services.announce,
                    conceal=packed.concealed,
                )
                found[name] = await stack.enter_async_context(worker_placement(workers))
            yield found


_LEVELS: Mapping[str, Level] = {level: level for level in get_args(Level)}


def _level(text: str) -> Level:
    return _LEVELS.get(text, "warning")


def _needs_of_call(needs: NeedsOfSteps, call: StepCall) -> Needs:
    return needs.get((plan_job_id(call.job_id), call.step_id), Needs())


class NotOpen:
    """Stands for an executor that was not opened, as the run was stopped before."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Refuse the attempt; see `Placement`.

        Raises:
            StepError: always.
        """
        del call, context
        raise StepError(
            f"the executor {self._name!r} was not opened, as the run was asked to stop before",
            hint="resume the run",
            code="AF883",
        )

    def stored(self, key: str) -> None:
        """Do nothing: there are no attempts."""

    def leave(self) -> None:
        """Do nothing: there are no attempts."""


@asynccontextmanager
async def executors_of_run(
    run: ResolvedRun, state: RunState, observers: Sequence[ObserverSpec], events: EventFactory
) -> AsyncIterator[RunExecutors]:
    """Give the executors of a run for a block, not open yet; at its end they are left.

    Args:
        run: the run.
        state: what its history has led to.
        observers: of the run; some show what the executors say before it begins.
        events: makes notices of it.
    """
    async with executors_in_use() as shared:
        executors = RunExecutors(run, state, shared, EarlyNotices(observers, events))
        try:
            yield executors
        finally:
            await executors.close()


def jobs_to_run(run: ResolvedRun, state: RunState) -> Iterator[JobPlan]:
    """Yield the jobs and hooks that may run: of a resumed run not those whose results surely stay."""
    plan, request = run.checked.plan, run.request
    runs_again = request.rerun_names or request.only or plan.flow.on_stale == "rerun"
    for job in plan.jobs:
        if run.selected is not None and job.index not in run.selected:
            continue
        if runs_again or not _stays(job, state):
            yield job
    yield from plan.hooks


def _stays(job: JobPlan, state: RunState) -> bool:
    """Whether a job has ended well, and is still defined as it was then."""
    known = state.jobs.get(job.id)
    if known is None or known.status not in ENDED_WELL or known.when != job.gate or job.for_each is not None:
        return False
    return known.status == "SKIPPED" or all(
        (done := known.steps.get(step.id)) is not None and step.is_defined_as(done.definition)
        for step in job.steps
    )
