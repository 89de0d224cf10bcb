"""The port for pools (slots that steps of many runs share), and why a step waits for slots."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from aetherflow.errors import StepError


class PoolWait(msgspec.Struct, frozen=True):
    """Why a step must wait.

    Attributes:
        slots: how many it wants.
        size: how many there are.
        held_by: who has slots; the first ones only.
        ahead: how many others wait before it.
    """

    pool: str
    slots: int
    size: int
    held_by: tuple[str, ...]
    ahead: int


class Pools(Protocol):
    """The pools of a state database."""

    def hold(
        self, pool: str, slots: int, *, job_id: str, step_id: str, on_wait: Callable[[PoolWait], None]
    ) -> AbstractAsyncContextManager[None]:
        """Hold slots in the block, after waiting for them in turn; cancel the block if they are lost.

        `on_wait` is called, once, if they are not free at once.

        Raises:
            StepError: there is no such pool, it has fewer slots than that, or they were lost.
        """
        ...


class _NoPools:
    """A run without a state database has none."""

    def hold(
        self, pool: str, slots: int, *, job_id: str, step_id: str, on_wait: Callable[[PoolWait], None]
    ) -> AbstractAsyncContextManager[None]:
        """Refuse.

        Raises:
            StepError: always.
        """
        del slots, on_wait
        raise StepError(f"{job_id}.{step_id} needs the pool {pool!r}, and there are none here", code="AF640")


NO_POOLS: Pools = _NoPools()
