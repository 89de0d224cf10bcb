"""What a state database has of a run, and how a person goes on with it; also when it could not be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aetherflow.cli_hints import retry_command
from aetherflow.clock import Clock
from aetherflow.engine.state import RunState
from aetherflow.errors import StateError, StateUnusable
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.execution.bus import Bus


class ResumeHint:
    """What the database has of a run, and what a person types to go on with it.

    Attributes:
        is_known: whether the run was there before; None before that is looked up.
        secrets: the parameters that are not stored.
        bus: what makes the run durable; None before it is there.
    """

    def __init__(self, run_id: str, state_path: Path) -> None:
        self._run_id = run_id
        self._state_path = state_path
        self.is_known: bool | None = None
        self.secrets: list[str] = []
        self.bus: Bus | None = None

    @property
    def advice(self) -> str:
        """How to go on with the run; empty while it is not known whether it is stored."""
        if self.is_known or (self.bus is not None and self.bus.has_published):
            return f"then go on: {retry_command(self._run_id, self._state_path, self.secrets)}"
        return "" if self.is_known is None else "nothing of this run is stored: begin it anew"

    def event(self, state: RunState, clock: Clock) -> e.RunPersisted:
        """Return what the observers are told of it."""
        factory = EventFactory(clock, state.flow_id, state.run_id)
        return factory.make(e.RunPersisted, state=str(self._state_path), secrets=self.secrets)


@asynccontextmanager
async def add_resume_hint(run_id: str, state_path: Path) -> AsyncIterator[ResumeHint]:
    """Tell which run it was whose state could not be kept, and the command that goes on with it.

    Raises:
        StateError: as the block has raised it, with the run's id and the command.
    """
    kept = ResumeHint(run_id, state_path)
    try:
        yield kept
    except StateUnusable:
        raise  # nothing has begun
    except StateError as error:
        hint = "; ".join(filter(None, (error.hint, kept.advice)))
        raise type(error)(f"run {run_id} stopped: {error.message}", hint=hint, code=error.code) from None
