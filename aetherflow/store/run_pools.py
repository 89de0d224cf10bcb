"""Take slots of pools for one run. Imports the rest only when a step needs slots."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from aetherflow.clock import Clock
from aetherflow.sdk.pools import PoolWait
from aetherflow.store.database_pool import SharedDatabase
from aetherflow.store.process_identity import ProcessIdentity


class RunPools(msgspec.Struct, frozen=True):
    """The pools of one database, for one run."""

    opened: SharedDatabase
    clock: Clock
    owner: ProcessIdentity
    flow_id: str
    run_id: str

    def hold(
        self, pool: str, slots: int, *, job_id: str, step_id: str, on_wait: Callable[[PoolWait], None]
    ) -> AbstractAsyncContextManager[None]:
        """Hold slots in the block, after waiting for them in turn; the block is cancelled if they are lost.

        Raises:
            StepError: no such pool, too few slots in it (code AF640, AF641), or lost (AF642).
            StateError: the database could not be used; the block was cancelled.
        """
        from aetherflow.store.pool_table import TTL_SECONDS  # noqa: PLC0415 - most runs need none
        from aetherflow.store.pools import SlotRequest  # noqa: PLC0415 - as above

        holder = f"{self.flow_id}, run {self.run_id}, {job_id}.{step_id}"
        request = SlotRequest(pool, slots, self.run_id, holder, self.owner, TTL_SECONDS)
        return self.opened.pools.hold(request, self.clock, on_wait)
