"""Decide which messages of a flow's `notify` are due when a run ends, and what they say.

One message reports that a flow is broken, and one that it works again. What an entry of `notify` has sent
last is a high-water mark of the flow, `@notify-1`, or `@notify-1 ITEM` for the runs of an item of a scheduler
file. It moves in the transaction that stores that the message was sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState
from aetherflow.engine.template_scope import RunView
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.events.occasions import NOTIFY, Occasion
from aetherflow.events.run_events import Event, RunEnd
from aetherflow.language.dates import utc_text
from aetherflow.observe.message_text import MessageFacts, message_values
from aetherflow.ports import StoredMark
from aetherflow.redaction import Redactor
from aetherflow.sdk.services import Locks, Message
from aetherflow.spec.messages import MessageStep
from aetherflow.store.database import Database
from aetherflow.store.marks import read_mark
from aetherflow.store.run_ends import end_before, ending_events, has_succeeded_since, item_of_run, last_end

LOCK_TTL_SECONDS = 60.0


class Report(msgspec.Struct, frozen=True):
    """What an entry of `notify` has reported last."""

    at: datetime
    event: str
    run_id: str

    @property
    def mark(self) -> Mark:
        """The mark that says it; a later one is above an earlier one."""
        return Mark("text", f"{utc_text(self.at)} {self.event} {self.run_id}")

    @classmethod
    def of(cls, mark: Mark | None) -> Report | None:
        """Return what a mark says; None if there is none, or a person has set it to something else."""
        at, _, rest = (mark.text if mark else "").partition(" ")
        event, _, run_id = rest.partition(" ")
        try:
            return cls(datetime.fromisoformat(at), event, run_id)
        except ValueError:
            return None


class _Known(msgspec.Struct, frozen=True):
    """What the state database knows of the flow and the run when its jobs have ended.

    Attributes:
        report: what the entry has reported last; `stored` is the mark that says it.
        has_recovered: whether a run has succeeded since.
        before: how the run, or the one before it, had ended; only for an entry that reports no failures.
    """

    item: str
    scheduled_at: str
    stored: StoredMark
    report: Report | None
    has_recovered: bool
    before: RunEnd | None


class FlowMessages(msgspec.Struct, frozen=True, eq=False):
    """Implements `Messages` for a run of a flow with `notify`."""

    state: RunState
    database: Database
    locks: Locks
    clock: Clock
    redactor: Redactor

    @asynccontextmanager
    async def about(self, step: MessageStep, job_id: str) -> AsyncIterator[Message]:
        """Return the message of an entry; runs of the flow that end together decide one after another.

        Raises:
            StepError: another run sends it for too long.
            StateError: the state database could not be used.
        """
        key = f"{self.state.flow_id}/{NOTIFY}{step.number}"
        holding = self.locks.hold(
            key, ttl_seconds=LOCK_TTL_SECONDS, wait_seconds=LOCK_TTL_SECONDS, job_id=job_id, step_id=step.id
        )
        async with holding:
            found = await self.database.read(lambda raw: self._due(raw, step))
            yield found if isinstance(found, Message) else self._message(step, *found)

    def _due(
        self, raw: sqlite3.Connection, step: MessageStep
    ) -> Message | tuple[Occasion, _Known, list[Event]]:
        """Return what is due with what is known for it, or that nothing is sent."""
        known = self._known(raw, step)
        due = occasion_of(step, self.state.outcome or "FAILED", known)
        if isinstance(due, NotDue):
            return Message(skipped=due.why)
        return due, known, ending_events(raw, self.state.run_id)

    def _known(self, raw: sqlite3.Connection, step: MessageStep) -> _Known:
        flow_id, run_id = self.state.flow_id, self.state.run_id
        item, scheduled_at = item_of_run(raw, run_id)
        stored = read_mark(raw, flow_id, _mark_name(step, item))
        report = Report.of(stored.mark)
        before: RunEnd | None = None
        if "failure" not in step.on:
            before = last_end(raw, run_id) or end_before(raw, flow_id, item, run_id, self.clock.now())
        return _Known(
            item=item,
            scheduled_at=scheduled_at,
            stored=stored,
            report=report,
            has_recovered=report is not None and has_succeeded_since(raw, flow_id, item, report.at),
            before=before,
        )

    def _message(self, step: MessageStep, due: Occasion, known: _Known, events: list[Event]) -> Message:
        report, now = known.report, self.clock.now()
        jobs, instances, steps = self.state.counts()
        facts = MessageFacts(
            event=due,
            flow_id=self.state.flow_id,
            run_id=self.state.run_id,
            status=self.state.outcome or "FAILED",
            reason=RunView(self.state, None)["reason"],
            events=events,
            state=str(self.database.path),
            ended_at=now,
            jobs=jobs,
            instances=instances,
            steps=steps,
            item=known.item,
            scheduled_at=known.scheduled_at,
            broken_since=utc_text(report.at, "seconds") if report and due == "recovery" else "",
        )
        sent = Report(now, due, self.state.run_id).mark
        use = MarkUse(known.stored.mark, sent, known.stored.set_count)
        values = self.redactor.value(message_values(facts))
        return Message(values=values, marks={_mark_name(step, known.item): use})


class NotDue(msgspec.Struct, frozen=True):
    """That no message is sent, and why."""

    why: str


def occasion_of(step: MessageStep, status: RunEnd, known: _Known) -> Occasion | NotDue:
    """Return what an entry reports now that a run has ended so, or that it reports nothing."""
    if step.runs == "scheduled" and not known.item:
        return NotDue("no item of a scheduler file has started the run (runs: scheduled)")
    report = known.report if known.report is not None and known.report.event == "failure" else None
    if status == "FAILED":
        if report is not None and not known.has_recovered:
            at = utc_text(report.at, "seconds")
            return NotDue(f"the failure is reported already, by run {report.run_id} at {at}")
        return "failure"
    was_broken = report is not None if "failure" in step.on else known.before == "FAILED"
    if "recovery" in step.on and was_broken:
        return "recovery"
    return "success" if "success" in step.on else NotDue("no failure was reported before")


def _mark_name(step: MessageStep, item: str) -> str:
    return f"{NOTIFY}{step.number} {item}" if item else f"{NOTIFY}{step.number}"
