"""Stop a run from outside: by a signal, a command or a server. Imports anyio and `redaction`."""

from __future__ import annotations

import anyio

from aetherflow.redaction import Redactor
from aetherflow.runs.stop_notices import StopAdvice


class RunControl:
    """Requests to stop a run: first by cancelling it, then by killing its processes.

    Attributes:
        reason: why the run must stop; empty until a stop is requested.
        leaves: whether the run is left to the next server, which resumes it, instead of being cancelled.
        advice: how a person requests more, if a person's signal asked; else None.
        redactor: knows the secrets of the run, once its flow is loaded; for who reports how the run ended.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.leaves = False
        self.advice: StopAdvice | None = None
        self.redactor = Redactor()
        self._forces = 0
        self._cancelled = anyio.Event()
        self._forced = anyio.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether a stop of the run was requested."""
        return self._cancelled.is_set()

    def cancel(self, reason: str, advice: StopAdvice | None = None) -> None:
        """Request the run to stop; only the first reason counts. With advice, the run says what follows."""
        if not self.is_cancelled:
            self.reason = reason
            self.advice = advice
            self._cancelled.set()

    def leave(self, reason: str) -> None:
        """Request the run to end its steps and to be left to the next server, unless it is cancelled."""
        if not self.is_cancelled:
            self.leaves = True
            self.cancel(reason)

    def force(self) -> None:
        """Request to kill the current processes of the run; may be called again."""
        self._forces += 1
        self._forced.set()
        self._forced = anyio.Event()

    async def cancelled(self) -> str:
        """Wait until a stop of the run is requested, and return the reason."""
        await self._cancelled.wait()
        return self.reason

    async def forced(self, times: int = 1) -> None:
        """Wait until `force` has been called `times` times."""
        while self._forces < times:
            await self._forced.wait()
