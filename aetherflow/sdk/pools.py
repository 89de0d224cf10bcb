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
        slots: how many slots the step needs.
        size: how many slots the pool has.
        held_by: the steps that hold slots; the first ones only.
        ahead: how many steps wait before this one.
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
        """Wait in turn for slots, and hold them while the block runs; cancel the block if they are lost.

        `on_wait` is called once if the slots are not free immediately.

        Raises:
            StepError: there is no such pool, it has too few slots, or the slots were lost.
        """
        ...


class _NoPools:
    """The pools of a run without a state database: there are none."""

    def hold(
        self, pool: str, slots: int, *, job_id: str, step_id: str, on_wait: Callable[[PoolWait], None]
    ) -> AbstractAsyncContextManager[None]:
        """Raise an error.

        Raises:
            StepError: always.
        """
        del slots, on_wait
        raise StepError(f"{job_id}.{step_id} needs the pool {pool!r}, and there are none here", code="AF640")


NO_POOLS: Pools = _NoPools()
