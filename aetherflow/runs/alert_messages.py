"""Say what the messages of a scheduler file say: about the run of an item, or that it could not start.

Whether a message is due was decided before its run started (`scheduler/reported_ends.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState
from aetherflow.events.occasions import Occasion
from aetherflow.events.run_events import RunEnd, RunFinished
from aetherflow.events.schedule_events import DID_NOT_RUN
from aetherflow.observe.message_text import MessageFacts, message_values
from aetherflow.redaction import Redactor
from aetherflow.sdk.services import Message, Messages
from aetherflow.spec.messages import MessageStep
from aetherflow.spec.messages_to_test import EVENT, OWN
from aetherflow.store.database import Database
from aetherflow.store.firings import firing_of_run
from aetherflow.store.run_ends import ending_events
from aetherflow.store.run_rows import find_run

TEST_REASON = "this is a test of notify, nothing has happened"

_OCCASIONS: dict[str, Occasion] = {"failure": "failure", "recovery": "recovery", "success": "success"}


class AlertMessages(msgspec.Struct, frozen=True, eq=False):
    """Implements `Messages` for the run of an alert; `state` has its params (`spec/on_late.py`)."""

    state: RunState
    database: Database
    clock: Clock
    redactor: Redactor

    @asynccontextmanager
    async def about(self, step: MessageStep, job_id: str) -> AsyncIterator[Message]:  # noqa: ARG002 - one job
        """Return the message of an entry.

        Raises:
            StateError: the state database could not be used.
        """
        found = await self.database.read(lambda raw: self._facts(raw, step))
        if isinstance(found, MessageFacts):
            found = Message(values=self.redactor.value(message_values(found)))
        yield found

    def _facts(self, raw: sqlite3.Connection, step: MessageStep) -> Message | MessageFacts:
        params = {name: str(value) for name, value in self.state.params.items()}
        run_id = "" if params["late_run"] == "none" else params["late_run"]
        row = find_run(raw, run_id) if run_id else None
        firing = firing_of_run(raw, run_id) if run_id else None
        event = _OCCASIONS.get(params["alert"], "late")
        if params["alert"] in DID_NOT_RUN and firing and firing.outcome == "FAILED" and "failure" in step.on:
            return Message(skipped="that the run could not start is reported as a failure")
        ended = firing.finished_at if firing and firing.finished_at else None
        events = ending_events(raw, run_id) if row else []
        ends = [one for one in events if isinstance(one, RunFinished)]
        return MessageFacts(
            event=event,
            flow_id=row.flow_id if row else params["item"],
            run_id=run_id if row else "",
            status=_status_for(event),
            reason=params["message"],
            events=events,
            finished=ends[-1] if ends else None,
            state=str(self.database.path),
            ended_at=datetime.fromisoformat(ended) if ended else self.clock.now(),
            item=params["item"],
            scheduled_at=params["scheduled_at"],
        )


class TestMessages(msgspec.Struct, frozen=True, eq=False):
    """Implements `Messages` for `aetherflow notify test`: each is sent, and says that it is a test."""

    __test__ = False  # no test of pytest
    state: RunState
    clock: Clock
    redactor: Redactor

    @asynccontextmanager
    async def about(self, step: MessageStep, job_id: str) -> AsyncIterator[Message]:  # noqa: ARG002 - one job
        """Return the message of an entry."""
        wanted = self.state.params[EVENT]
        event = step.on[0] if wanted == OWN else next(one for one in step.on if one == wanted)
        facts = MessageFacts(
            event=event,
            flow_id=self.state.flow_id,
            run_id="",
            status=_status_for(event),
            reason=TEST_REASON,
            events=[],
            state="",
            ended_at=self.clock.now(),
        )
        yield Message(values=self.redactor.value(message_values(facts, "TEST ")))


def alert_messages(state: RunState, database: Database, clock: Clock, redactor: Redactor) -> Messages:
    """Return what decides about the messages of a run whose jobs send those of a scheduler file."""
    if EVENT in state.params:
        return TestMessages(state, clock, redactor)
    return AlertMessages(state, database, clock, redactor)


def _status_for(event: Occasion) -> RunEnd:
    """Return how the run of a message has ended; one that is late counts as failed."""
    return "SUCCESS" if event in ("recovery", "success") else "FAILED"
