"""Record the effects of one attempt of a step as events in the journal of its run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aetherflow.errors import StepError
from aetherflow.events import run_events as e
from aetherflow.ports import EffectState


class StepEffects:
    """Implements `EffectLog` for an attempt that runs.

    Args:
        known: the effects that the state of the run has for this step.
        store: makes an event of this attempt, of a kind and with its fields, and makes it durable.
    """

    def __init__(self, known: Mapping[str, EffectState], store: Callable[..., Awaitable[None]]) -> None:
        self._known = known
        self._store = store
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

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Return when the intent is durable.

        Raises:
            StepError: the attempt has ended; its abandoned thread must not change anything more.
        """
        self._check(key)
        await self._store(e.EffectIntended, key=key, detail=detail)

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Return when the confirmation is durable.

        Raises:
            StepError: the attempt has ended.
        """
        self._check(key)
        await self._store(e.EffectConfirmed, key=key, result=result, verified=verified)

    def close(self) -> None:
        """Refuse further effects: the attempt has ended."""
        self._is_over = True

    def _check(self, key: str) -> None:
        if self._is_over:
            raise StepError(f"the effect {key!r} comes too late: its step has ended", kind="cancelled")
