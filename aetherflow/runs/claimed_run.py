"""Claim a run, and its flow if that runs one at a time; renew the leases until the run has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError
from aetherflow.execution.executor import Executor
from aetherflow.runs.ports import ClaimPrecondition
from aetherflow.runs.resolved_run import ResolvedRun
from aetherflow.runs.resume_hint import ResumeHint
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.stored_run import StoredRun, stored_run
from aetherflow.store.database import SHIELD_SECONDS
from aetherflow.store.database_pool import DatabasePool, SharedDatabase
from aetherflow.store.lease import Lease
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.run_lease import RunClaim, claim_flow, claim_run, keep_alive, release_run
from aetherflow.task_errors import one_error

Service = Callable[[], Coroutine[Any, Any, None]]


class ClaimedRun(msgspec.Struct, frozen=True, eq=False):
    """A run that this process may execute, in an open database.

    Attributes:
        stored: what earlier executions have left of it.
        leases: the lease of the run, and of its flow if it has a lock; a heartbeat renews them.
    """

    database: SharedDatabase
    owner: ProcessIdentity
    claim: RunClaim
    stored: StoredRun
    leases: list[Lease]


@asynccontextmanager
async def claim(
    run: ResolvedRun,
    states: DatabasePool,
    clock: Clock,
    precondition: ClaimPrecondition | None,
    hint: ResumeHint,
) -> AsyncIterator[ClaimedRun]:
    """Claim the run in its database, and its flow if that runs one at a time; read what is stored of it.

    At the end they are released.

    Raises:
        HeldByAnother: another process has the run or the flow.
        StateError: the database cannot be used.
    """
    flow, owner = run.checked.plan.flow, this_process()
    async with AsyncExitStack() as stack:
        access = run.checked.environment.settings.file_access
        shared = await stack.enter_async_context(states.use(run.state, flow.state.synchronous, access))
        database = shared.database
        if precondition is None or precondition.database is not database:
            taken = await claim_run(database, run.run_id, owner, clock)
        else:
            taken = await claim_run(database, run.run_id, owner, clock, precondition.check)
        stack.push_async_callback(_call_shielded, partial(release_run, database, taken.lease, clock))
        stored = await stored_run(database, run.run_id)
        hint.on_claimed(was_stored=not stored.is_new)
        if precondition is not None and precondition.database is not database:
            await precondition.database.transact(precondition.check)
        leases = [taken.lease]
        if flow.locks.scope == "flow":
            ttl, flow_id = flow.locks.ttl_seconds, run.checked.plan.flow_id
            leases.append(await claim_flow(database, flow_id, run.run_id, owner, clock, ttl))
            stack.push_async_callback(_call_shielded, partial(release_run, database, leases[1], clock))
        yield ClaimedRun(shared, owner, taken, stored, leases)


async def _call_shielded(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with anyio.move_on_after(SHIELD_SECONDS, shield=True):  # a lease that was not released ends by itself
        await call()


async def while_claimed(
    prepare: Service, run: ClaimedRun, clock: Clock, control: RunControl, beside: Service
) -> None:
    """Prepare a run that has not begun while its leases are renewed; a request to stop ends the wait.

    Raises:
        HeldByAnother: another process has taken a lease.
        StateError: the database cannot be used.
    """
    preparing = anyio.CancelScope()

    async def renew(lease: Lease) -> None:
        raise await keep_alive(run.database.database, lease, clock, control.cancel)

    async def stop() -> None:
        await control.cancelled()
        preparing.cancel()

    async with one_error() as tasks:
        for lease in run.leases:
            tasks.start_soon(renew, lease)
        for task in (stop, beside):
            tasks.start_soon(task)
        with preparing:
            await prepare()
        tasks.cancel_scope.cancel()


async def renew_leases(executor: Executor, run: ClaimedRun, clock: Clock, scope: anyio.CancelScope) -> None:
    """Renew the leases until `scope` is cancelled; stop the run if one is lost or a stop is requested."""

    def cancel(reason: str) -> None:
        """Cancel what runs, once: this is called every second until the run has ended."""
        if not executor.was_cancelled:
            executor.cancel_hooks(reason)
            executor.cancel(reason)

    async def renew(lease: Lease) -> None:
        try:
            executor.fail(await keep_alive(run.database.database, lease, clock, cancel))
        except AetherFlowError as error:
            executor.fail(error)

    with scope:
        async with anyio.create_task_group() as renewing:
            for lease in run.leases:
                renewing.start_soon(renew, lease)
