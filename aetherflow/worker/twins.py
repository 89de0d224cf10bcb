"""The services of a run that only its engine has, as an attempt on a worker sees them: it asks the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.events.marks import Mark, MarkUse
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


class EffectsOfEngine:
    """Implements `EffectLog`: earlier effects came with the work, new ones are stored by the engine."""

    def __init__(self, link: EngineLink, known: Mapping[str, EffectState]) -> None:
        self._link = link
        self._known = known
        self._reserved: set[str] = set()
        self._is_over = False

    def reserve(self, key: str) -> bool:
        """Note that this attempt uses the key; return whether it did not before."""
        is_new = key not in self._reserved
        self._reserved.add(key)
        return is_new

    def free(self, key: str) -> None:
        """Note that this attempt may use the key again."""
        self._reserved.discard(key)

    def known(self, key: str) -> EffectState | None:
        """Return the stored state of an effect."""
        return self._known.get(key)

    def stored(self) -> Mapping[str, EffectState]:
        """Return the stored effects by key."""
        return self._known

    async def intend(self, key: str, detail: dict[str, object]) -> None:
        """Return when the intent is durable.

        Raises:
            StepError: the attempt has ended; its abandoned thread must not change anything more.
        """
        self._check(key)
        await self._link.ask(IntendEffect(key, detail))

    async def confirm(self, key: str, result: dict[str, object], *, verified: bool) -> None:
        """Return when the confirmation is durable.

        Raises:
            StepError: the attempt has ended.
        """
        self._check(key)
        await self._link.ask(ConfirmEffect(key, result, verified))

    def close(self) -> None:
        """Refuse further effects: the attempt has ended."""
        self._is_over = True

    def _check(self, key: str) -> None:
        if self._is_over:
            raise StepError(f"the effect {key!r} comes too late: its step has ended", kind="cancelled")


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
