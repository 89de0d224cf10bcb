"""Build the hint that says how to resume a run whose state could not be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aetherflow.cli_hints import retry_command
from aetherflow.errors import StateError, StateUnusable
from aetherflow.execution.bus import Bus


class ResumeHint:
    """Tracks how much of a run is stored, and builds the command that resumes it."""

    def __init__(self, run_id: str, named_state: Path | str, executor: str) -> None:
        """Begin with the run, the database that commands must name, and what `--executor` named."""
        self._run_id = run_id
        self._executor = executor
        self._named_state = named_state
        self._was_stored: bool | None = None
        self._secrets: list[str] = []
        self._bus: Bus | None = None

    def on_claimed(self, *, was_stored: bool) -> None:
        """Record that the run is claimed, and whether the database already had it."""
        self._was_stored = was_stored

    def on_started(self, bus: Bus, secrets: list[str]) -> None:
        """Record the bus that stores the run, and the secret parameters that must be given again."""
        self._bus = bus
        self._secrets = secrets

    @property
    def advice(self) -> str:
        """How to resume the run; empty if it is unknown whether the run is stored."""
        if self._was_stored or (self._bus is not None and self._bus.has_published):
            command = retry_command(self._run_id, self._named_state, self._secrets, executor=self._executor)
            return f"then resume: {command}"
        return "" if self._was_stored is None else "nothing of this run is stored: start it again"

    @contextmanager
    def on_state_error(self) -> Iterator[None]:
        """Add the run's id and the advice to an error of its state database.

        Raises:
            StateError: the error of the block with both added.
        """
        try:
            yield
        except StateUnusable:
            raise  # nothing has started
        except StateError as error:
            hint = "; ".join(filter(None, (error.hint, self.advice)))
            message = f"run {self._run_id} stopped: {error.message}"
            raise type(error)(message, hint=hint, code=error.code) from None
