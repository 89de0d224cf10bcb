"""The ticket of a run in a run pool, and its result: a report or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from aetherflow.errors import (
    AetherFlowError,
    Diagnostic,
    FiringTaken,
    InvalidInput,
    LockHeld,
    RunEnded,
    RunInUse,
)
from aetherflow.events.run_events import Origin
from aetherflow.runs.run_request import RunRequest
from aetherflow.spec.schedule import OnStop

TicketStatus = Literal["queued", "started", "ended", "refused"]

RefusalKind = Literal[
    "server_stopping",
    "cancelled",
    "taken_over",
    "run_in_use",
    "run_ended",
    "lock_held",
    "left_as_it_is",
    "invalid_flow",
    "error",
]
"""Why a ticket did not become a run, for programs; its code is for people."""


class RunTicket(RunRequest, frozen=True, kw_only=True):
    """A request that waits for its turn in a run pool. It has a run id.

    Attributes:
        flow_file: read when the run starts, so that edits count for the next one.
        flow_text: what counts instead of the file, which may be wrong by now.
        bundle_manifest: the bundle that the flow belongs to.
        allow_stale_bundle: whether the last good snapshot may be used if the sync fails.
        priority: tickets with a higher number run first, equal ones in the order of submission.
        item_id: the schedule item, for observers.
        label: what a list of runs shows beside the run id.
        is_alert: it says that others are late, and does not wait for the slots that they have.
        on_stop: what happens to the run if it still runs when its server stops.
    """

    run_id: str
    flow_file: Path
    origin: Origin = "serve"
    flow_text: bytes = b""
    bundle_manifest: Path | None = None
    allow_stale_bundle: bool = False
    priority: int = 0
    item_id: str = ""
    label: str = ""
    is_alert: bool = False
    on_stop: OnStop = "cancel"


class RunReport(msgspec.Struct, frozen=True):
    """How a run ended; INTERRUPTED if its state could not be stored, or the program had a bug.

    LEFT: its server stops, and the next one resumes it.

    Attributes:
        detached: observers that failed during the run, by name, and why.
        reason: why the run ended so, if the status is not enough.
        code: of the error behind it.
        state: the path of the state database that has the run.
        resume: the command that resumes it; empty if it succeeded.
    """

    run_id: str
    status: Literal["SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED", "LEFT"]
    exit_code: int
    detached: dict[str, str] = {}
    reason: str = ""
    code: str = ""
    state: str = ""
    resume: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Why a ticket did not become a run.

    Attributes:
        kind: why, for programs.
        reason: why, as a sentence.
        code: of the error, for people.
        diagnostics: the diagnostics of the flow file, including warnings.
        state: the path of the database that knows the run, if another process executes it or has ended it.
    """

    run_id: str
    kind: RefusalKind
    reason: str
    code: str = ""
    hint: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    state: str = ""


def cancelled(run_id: str, reason: str) -> Refusal:
    """Return the refusal of a ticket that was cancelled before its run started."""
    return Refusal(run_id, "cancelled", reason, "AF653")


def refusal_of(run_id: str, error: AetherFlowError) -> Refusal:
    """Return the refusal of a ticket whose run could not start because of an error."""

    def refusal(kind: RefusalKind, state: Path | str = "") -> Refusal:
        return Refusal(run_id, kind, error.message, error.code, error.hint, state=str(state))

    match error:
        case InvalidInput():
            return Refusal(run_id, "invalid_flow", str(error), error.code, diagnostics=error.diagnostics)
        case RunEnded():
            return refusal("run_ended", error.state)
        case RunInUse():
            return refusal("run_in_use", error.state)
        case LockHeld():
            return refusal("lock_held")
        case FiringTaken():
            return refusal("taken_over")
        case _:
            return refusal("error")
