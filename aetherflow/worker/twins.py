"""The services of a run that only its engine has, as an attempt on a worker sees them: it asks the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from aetherflow.events.marks import Mark, MarkUse
from aetherflow.events.run_events import EffectIntended, StepEvent
from aetherflow.execution.step_effects import StepEffects
from aetherflow.execution.worker_messages import (
    ConfirmEffect,
    IntendEffect,
    ReadMark,
    ReleaseLock,
    TakeLock,
)
from aetherflow.ports import EffectState
from aetherflow.sdk.lock_wait import OnLockWait, report_to_nobody
from aetherflow.worker.engine_link import EngineLink

RELEASE_SECONDS = 10.0
"""How long the end of a block waits until the engine has released its lock."""


def effects_of_engine(link: EngineLink, known: Mapping[str, EffectState]) -> StepEffects:
    """Return the effects of an attempt: earlier ones came with the work; the engine stores new ones."""

    async def store(kind: type[StepEvent], **fields: Any) -> None:
        await link.ask(IntendEffect(**fields) if kind is EffectIntended else ConfirmEffect(**fields))

    return StepEffects(known, store)


class MarksOfEngine:
    """Implements `MarkLog`; how the attempt used its marks is the engine's to know."""

    def __init__(self, link: EngineLink) -> None:
        self._link = link

    async def read(self, name: str) -> Mark | None:
        """Return the mark that the attempt starts from.

        Raises:
            EngineError: another step of the run uses the mark.
        """
        return msgspec.convert(await self._link.ask(ReadMark(name)), Mark | None)

    async def used(self, moved: Mapping[str, Mark]) -> dict[str, MarkUse]:
        """Return what the step moves; the engine checks it when the attempt has ended."""
        return {name: MarkUse(after=mark) for name, mark in moved.items()}


class LocksOfEngine:
    """Implements `Locks`: the engine takes a lock, renews it, and stops the attempt if it is lost."""

    def __init__(self, link: EngineLink) -> None:
        self._link = link

    @asynccontextmanager
    async def hold(
        self,
        key: str,
        *,
        ttl_seconds: float,
        wait_seconds: float,
        job_id: str,  # noqa: ARG002 - the engine knows whose attempt asks
        step_id: str,  # noqa: ARG002 - as above
        on_wait: OnLockWait = report_to_nobody,  # noqa: ARG002 - the engine reports the wait itself
    ) -> AsyncIterator[None]:
        """Hold the lock during a block.

        Raises:
            EngineError: another step holds the lock.
        """
        asked: list[int] = []
        try:
            await self._link.ask(TakeLock(key, ttl_seconds, wait_seconds), asked.append)
            yield
        finally:  # also after a wait that was given up, for the engine may have taken the lock meanwhile
            for number in asked:
                self._link.released(number)
                if not self._link.is_closed:
                    with anyio.move_on_after(RELEASE_SECONDS, shield=True):
                        await self._link.ask(ReleaseLock(number))
