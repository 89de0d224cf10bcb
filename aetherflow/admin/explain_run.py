"""Explain from its events why a run, a job or a step ran, waited, was skipped, kept or retried. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from aetherflow.admin.error_words import error_line
from aetherflow.admin.run_history import RunFacts
from aetherflow.admin.run_tree import NOT_BEGUN, JobNode, StepNode, run_tree
from aetherflow.admin.wait_words import place_words, refused_words, wait_words
from aetherflow.errors import UsageError
from aetherflow.events.planned_jobs import is_hook
from aetherflow.events.stale_readers import job_of, shown
from aetherflow.observe.event_text import counts, duration
from aetherflow.store.projection import timestamp
from aetherflow.store.stored_times import seconds_between

Kind = Literal[
    "started", "late", "resumed", "kept", "rerun", "stale", "ready", "waited", "condition", "instances",
    "placed", "refused", "skipped", "blocked", "retried", "failed", "cancelled", "interrupted", "succeeded",
    "running", "pending",
]  # fmt: skip

LATE_SECONDS = 1.0
"""From this time on a start is late, and a wait for a free place is worth a sentence."""
FAILURES_SHOWN = 3
WAITS_SHOWN = 3
_DECIDED: Mapping[str, tuple[Kind, str]] = {
    "keep": ("kept", "kept its result"),
    "reattach": ("running", "let its attempt continue, as a worker still had it"),
    "rerun": ("rerun", "let it run again"),
    "end_interrupted": ("kept", "did not let it run again"),
    "changed": ("kept", "kept its result although the flow defines it differently now"),
    "never_run": ("kept", "did not run it, since its job had already ended"),
    "upgraded": ("kept", "kept its result although the version of its step type has changed"),
    "exclude": ("kept", "excluded it"),
}


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sentence of an explanation; `at` is when that was (UTC)."""

    kind: Kind
    sentence: str
    at: str = ""


class Explained(msgspec.Struct, frozen=True):
    """What a run, a job or a step did, and why.

    Attributes:
        name: `job` or `job.step`; empty for the run.
        place: `FILE:LINE` in the flow, if known.
    """

    kind: Literal["run", "job", "step"]
    name: str
    status: str
    place: str
    reasons: list[Reason]


def explain_run(facts: RunFacts, name: str = "") -> list[Explained]:
    """Return what a run and each job of it did, and why; or one job, or step.

    Raises:
        UsageError: the run has no such job or step.
    """
    explainer = _Explainer(facts)
    if name:
        return [explainer.named(name)]
    return [explainer.run(), *map(explainer.job, explainer.nodes)]


def explain_whole_run(facts: RunFacts) -> Explained:
    """Return what a run did and why, without its jobs."""
    return _Explainer(facts).run()


class _Explainer:
    """Explains the parts of one run."""

    def __init__(self, facts: RunFacts) -> None:
        self._facts, self._history = facts, facts.history
        self.nodes = run_tree(facts.history)
        whole = {node.row.job_id: node for node in self.nodes}
        self._jobs = whole | {one.row.job_id: one for node in self.nodes for one in node.instances}
        self._stale_readers: dict[str, list[str]] = {}
        for reader in facts.history.stale:
            for name in {job_of(reader), shown(reader)}:
                self._stale_readers.setdefault(name, []).append(reader)
        rows = [node.row for node in self._jobs.values() if node.row.started_at and not node.instances]
        self._starts = sorted(row.started_at or "" for row in rows)
        self._ends = sorted(row.finished_at for row in rows if row.finished_at)

    def named(self, name: str) -> Explained:
        """Return what a job (`job`) or a step (`job.step`) did, and why; ids may hold dots."""
        if name in self._jobs:
            return self.job(self._jobs[name])
        for end in (index for index, letter in enumerate(name) if letter == "."):
            node = self._jobs.get(name[:end])
            if node is not None and (found := self._step_of(node, name[end + 1 :])) is not None:
                return found
        jobs = ", ".join(node.row.job_id for node in self.nodes[:10])
        raise UsageError(
            f"run {self._history.run.run_id} has no job or step {name!r}",
            hint=f"its jobs are {jobs}{' ...' if len(self.nodes) > 10 else ''}; write a step as JOB.STEP",  # noqa: PLR2004 - as above
        )

    def run(self) -> Explained:
        """Return what the run did, and why."""
        run = self._history.run
        return Explained("run", "", run.status, run.flow_file, [*self._beginning(), *self._ending()])

    def job(self, node: JobNode) -> Explained:
        """Return what a job, or an instance, did, and why."""
        reasons = [
            *self._kept(node),
            *self._stale(node.row.job_id),
            *self._before(node),
            *self._within(node),
        ]
        return Explained("job", node.row.job_id, node.row.status, self._place(node.plan.line), reasons)

    def _place(self, line: int) -> str:
        return f"{self._history.run.flow_file}:{line}" if line else ""

    def _beginning(self) -> Iterator[Reason]:
        run, firing = self._history.run, self._facts.firing
        if firing is None and (tick := self._facts.served_for):
            sentence = f"A server started it for {tick}; the database of the server has the item."
            yield Reason("started", sentence, run.started_at)
        elif firing is None and self._facts.is_report:
            sentence = "A server started it: on_late or notify of its scheduler file."
            yield Reason("started", sentence, run.started_at)
        elif firing is None:
            yield Reason("started", "A command started it.", run.started_at)
        else:
            cause = (
                "its tick" if firing.cause == "tick" else f"a firing ({firing.cause.replace('_', ' ')}) for"
            )
            yield Reason(
                "started",
                f"The item {firing.item_id} started it for {cause} {firing.scheduled_at}.",
                run.started_at,
            )
            late = seconds_between(firing.due_at, run.started_at)
            if late >= LATE_SECONDS:
                queued = seconds_between(firing.decided_at, run.started_at)
                why = (
                    f"it waited {duration(queued)} after a server had decided that it runs"
                    if queued > late / 2
                    else f"no server decided it before {firing.decided_at}"
                )
                yield Reason("late", f"It began {duration(late)} after its time: {why}.", run.started_at)
        for alert in self._facts.alerts:
            yield Reason("late", f"It was reported as {alert.kind}: {alert.message}.", alert.alerted_at)
        for resume in self._history.resumes:
            numbers = resume.counts_by_kind
            kept, again = numbers.get("keep", 0), numbers.get("rerun", 0)
            steps = "1 step was" if kept == 1 else f"{kept} steps were"
            what = f": {steps} kept, {again} to run again" if numbers else ""  # AetherFlow 0.0 stored none
            yield Reason("resumed", f"It was resumed (attempt {resume.attempt}){what}.", timestamp(resume.at))

    def _ending(self) -> Iterator[Reason]:
        run, at = self._history.run, self._history.run.finished_at or ""
        jobs = [node for node in self.nodes if not is_hook(node.row.job_id)]  # no hook makes a run fail
        statuses = Counter(node.row.status for node in jobs)
        failed = [node.row.job_id for node in jobs if node.row.status == "FAILED"]
        took = "" if run.duration_seconds is None else f" after {duration(run.duration_seconds)}"
        match run.status:
            case "SUCCESS":
                yield Reason("succeeded", f"It succeeded{took}; jobs: {counts(statuses)}.", at)
            case "FAILED":
                which = ", ".join(failed[:FAILURES_SHOWN]) + (" ..." if len(failed) > FAILURES_SHOWN else "")
                why = f" ({run.reason})" if run.reason else f", because {which or 'a job'} failed"
                yield Reason("failed", f"It failed{took}{why}; jobs: {counts(statuses)}.", at)
            case "CANCELLED":
                yield Reason(
                    "cancelled", f"It was cancelled{took}: {run.reason or 'no reason is known'}.", at
                )
            case "INTERRUPTED":
                last = f" It stored its last event{took}." if took else ""
                yield Reason("interrupted", f"Its process died before the run had ended.{last}", at)
            case _:
                yield Reason("running", f"It is running; jobs: {counts(statuses)}.")

    def _kept(self, node: JobNode) -> Iterator[Reason]:
        resumed_at, row = self._history.resumed_at, node.row
        if resumed_at and row.finished_at and row.finished_at < resumed_at:
            yield Reason("kept", f"The last resume kept it: it had ended {row.status} before.", resumed_at)

    def _stale(self, name: str) -> Iterator[Reason]:
        """Yield that the result of a job or step is stale; what a step had read is named at its job too."""
        for reader in self._stale_readers.get(name, ()):
            what = "Its result" if name == shown(reader) else f"The result of {shown(reader)}"
            names = ", ".join(map(shown, self._history.stale[reader]))
            yield Reason("stale", f"{what} is stale: it had read {names}, which ran again after it.")

    def _before(self, node: JobNode) -> Iterator[Reason]:
        """Yield what a job waited for, and why it began or did not."""
        row = node.row
        if row.status == "BLOCKED":
            yield self._blocked(node)
            return
        if row.status == NOT_BEGUN and not row.started_at:
            before = self._jobs.get(node.waited_for)
            why = (
                f"it waits for job {node.waited_for}, which is {before.row.status}"
                if before
                else "no place is free"
            )
            if self._history.run.status != "RUNNING":
                why = f"the run is {self._history.run.status}"
            yield Reason("pending", f"It has not begun: {why}.")
            return
        if row.item:
            yield Reason("started", f"It is the instance for the item {row.item}.", row.started_at or "")
        elif not self._is_kept(node):  # else: it is known of the last execution only
            yield from _ready(node)
        if node.waited_seconds >= LATE_SECONDS and not self._is_kept(node):
            others = self._running_at(node.ready_at)
            yield Reason(
                "waited",
                f"It waited {duration(node.waited_seconds)} for a free place: {others} others were running.",
                node.ready_at,
            )
        if row.saw:
            yield Reason(
                "condition", f"Its condition held: {row.saw.removeprefix('when: ')}.", row.started_at or ""
            )

    def _is_kept(self, node: JobNode) -> bool:
        return next(self._kept(node), None) is not None

    def _running_at(self, at: str) -> int:
        """Return how many jobs and instances ran at a time; a job with instances is none itself."""
        return bisect_right(self._starts, at) - bisect_right(self._ends, at)

    def _blocked(self, node: JobNode) -> Reason:
        """Return why a job was blocked, down to the job that failed first."""
        culprit: JobNode | None = node
        while culprit is not None and culprit.row.status == "BLOCKED":
            before = (self._jobs.get(name) for name in culprit.plan.needs)
            culprit = next((one for one in before if one and one.row.status != "SUCCESS"), None)
        sentence = f"It did not run: {node.row.reason or 'a job before it did not succeed'}."
        if culprit is not None and culprit is not node:
            reason = f", {culprit.row.reason}" if culprit.row.reason else ""
            sentence = f"{sentence[:-1]}; job {culprit.row.job_id} is {culprit.row.status}{reason}."
        return Reason("blocked", sentence, node.row.finished_at or "")

    def _within(self, node: JobNode) -> Iterator[Reason]:
        """Yield what happened in a job, and how it ended."""
        row, at = node.row, node.row.finished_at or ""
        if node.instances:
            statuses = Counter(one.row.status for one in node.instances)
            yield Reason(
                "instances",
                f"It has an instance for each of {len(node.instances)} items: {counts(statuses)}.",
            )
        took = duration(seconds_between(row.started_at, row.finished_at) or 0.0)
        match row.status:
            case "SUCCESS":
                yield Reason("succeeded", f"It succeeded after {took}.", at)
            case "SKIPPED":
                yield Reason("skipped", f"It was skipped: {row.reason or 'no reason is known'}.", at)
            case "CANCELLED":
                yield Reason("cancelled", f"It was cancelled: {row.reason or 'the run was'}.", at)
            case "FAILED":
                yield from self._failures(node)
            case "RUNNING":
                yield Reason("running", "It is running.", row.started_at or "")
                yield from _awaited(node)
            case "INTERRUPTED":
                yield Reason("interrupted", "The process of the run died while it ran.", row.started_at or "")
            case _:
                pass

    def _failures(self, node: JobNode) -> Iterator[Reason]:
        failed = list(node.failed_steps())
        at = node.row.finished_at or ""
        if not failed:
            yield Reason("failed", f"It failed: {error_line(node.row.error) or node.row.reason}", at)
        for job, step in failed[:FAILURES_SHOWN]:
            place = self._place(step.line)
            yield Reason(
                "failed",
                f"Step {job.row.job_id}.{step.row.step_id} failed{f' ({place})' if place else ''}: "
                f"{error_line(step.row.error)}",
                step.row.finished_at or "",
            )
        if len(failed) > FAILURES_SHOWN:
            yield Reason("failed", f"{len(failed) - FAILURES_SHOWN} more of its steps failed.", at)

    def _step_of(self, job: JobNode, step_id: str) -> Explained | None:
        name = f"{job.row.job_id}.{step_id}"
        for step in job.steps:
            if step.row.step_id == step_id:
                reasons = [*self._decisions(name), *self._stale(name), *self._attempts(step), *_end(step)]
                return Explained("step", name, step.row.status, self._place(step.line), reasons)
        for planned in job.plan.steps:
            if planned.id == step_id:
                why = f"It did not begin: its job {job.row.job_id} is {job.row.status}."
                status = NOT_BEGUN
                if job.instances:
                    status = job.row.status
                    why = f"It runs in each instance: {job.instances[0].row.job_id}.{step_id} is the first."
                reasons = [Reason("pending", why), *self.job(job).reasons]
                return Explained("step", name, status, self._place(planned.line), reasons)
        return None

    def _decisions(self, name: str) -> Iterator[Reason]:
        """Yield what each resume decided for a step."""
        for resume in self._history.resumes:
            for kind, entries in resume.decisions.items():
                entry = next((one for one in entries if one == name or one.startswith(f"{name} (")), None)
                if entry is None or kind not in _DECIDED:
                    continue
                decided, words = _DECIDED[kind]
                why = entry[len(name) :].strip(" ()")
                because = f": it was {why}" if why else ""
                sentence = f"The resume as attempt {resume.attempt} of the run {words}{because}."
                yield Reason(decided, sentence, timestamp(resume.at))

    def _attempts(self, step: StepNode) -> Iterator[Reason]:
        """Yield the waits of a step and its attempts that were repeated."""
        for wait in step.waits:
            words = wait_words(wait, goes_on=wait in step.waits_for)
            yield Reason("waited", f"It {words}.", wait.since)
        for one in step.retries:
            of = f" of {one.max_attempts}" if one.max_attempts else ""
            yield Reason(
                "retried",
                f"Attempt {one.attempt}{of} failed, the next followed after {duration(one.wait_seconds)}: "
                f"{error_line(one.error)}",
                one.failed_at,
            )
        if step.place is not None and step.place.begun_at is not None:
            after = seconds_between(step.place.given_at, step.place.begun_at) or 0.0
            waited = f", after it had waited {duration(after)} for a worker" if after >= LATE_SECONDS else ""
            words = f"Attempt {step.place.attempt} began on {place_words(step.place)}{waited}."
            yield Reason("placed", words, step.place.begun_at)
        for late in step.refused:
            words = refused_words(late)
            yield Reason("refused", f"{words[0].upper()}{words[1:]}.", late.at)


def _ready(node: JobNode) -> Iterator[Reason]:
    """Yield when a job could begin."""
    if node.waited_for and node.ready_at:
        yield Reason("ready", f"It could begin when job {node.waited_for} had ended.", node.ready_at)
    elif node.plan.needs or node.plan.after:
        yield Reason("ready", "All jobs before it had ended when the run was resumed.", node.ready_at)
    elif node.plan.steps:
        yield Reason("ready", "It depends on no other job.", node.ready_at)


def _awaited(node: JobNode) -> Iterator[Reason]:
    """Yield what the first steps of a job, and of its instances, wait for now."""
    waiting = list(node.waiting_steps())
    for job, step in waiting[:WAITS_SHOWN]:
        for wait in step.waits_for:
            words = wait_words(wait, goes_on=True)
            yield Reason("waited", f"Step {job.row.job_id}.{step.row.step_id} {words}.", wait.since)
    if (more := len(waiting) - WAITS_SHOWN) > 0:
        yield Reason("waited", f"{more} more of its steps wait{'s' if more == 1 else ''}.")


def _end(step: StepNode) -> Iterator[Reason]:
    """Yield how a step ended."""
    row, at = step.row, step.row.finished_at or ""
    took = duration(seconds_between(row.started_at, row.finished_at) or 0.0)
    match row.status:
        case "SUCCESS":
            yield Reason("succeeded", f"Attempt {row.attempt} succeeded after {took}.", at)
        case "FAILED":
            most = step.retries[-1].max_attempts if step.retries else 0
            last = ", the last that the flow allows," if most and most == row.attempt else ""
            yield Reason(
                "failed", f"Attempt {row.attempt}{last} failed after {took}: {error_line(row.error)}", at
            )
            if hint := (row.error or {}).get("hint"):
                yield Reason("failed", f"What to do: {hint}")
        case "SKIPPED":
            yield Reason("skipped", f"It was skipped: {row.reason or 'no reason is known'}.", at)
        case "CANCELLED":
            yield Reason("cancelled", f"It was cancelled: {row.reason or 'the run was'}.", at)
        case "RUNNING":
            words = f"Attempt {row.attempt} is running."
            if step.awaits_worker and step.place is not None:
                words = f"Attempt {row.attempt} waits for {place_words(step.place)}."
            yield Reason("running", words, row.started_at or "")
        case "INTERRUPTED":
            yield Reason("interrupted", "The process of the run died while it ran.", row.started_at or "")
        case _:
            yield Reason("pending", f"It has not begun{f': {row.reason}' if row.reason else ''}.")
