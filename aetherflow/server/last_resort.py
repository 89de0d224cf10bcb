"""Exit a server whose runs do not end, after reporting which runs are left.

Nothing in a process can end a step that swallows its cancellation. So the process exits without it: the
guardian ends the children, the leases lapse, and the next server resumes the runs as their `on_crash` says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.execution.bus import Bus
from aetherflow.runs.forced_end import CODE, EXIT_CODE, ForcedEnd
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.queries import steps_of

LOOK_SECONDS = 2.0
"""How long the databases may take to say which steps run."""

FORCED_END_SECONDS = 60.0
"""How long a server may take to end after a second signal, also when its event loop is blocked."""


async def leave_runs(run_ids: Sequence[str], *, states: DatabasePool, bus: Bus, clock: Clock) -> NoReturn:
    """Report each run that did not end and the steps it is in, flush the log, and exit with code 70."""
    where: dict[str, str] = {}
    with anyio.move_on_after(LOOK_SECONDS):
        where = await _running_steps(run_ids, states)
    for run_id in run_ids:
        message = (
            f"run {run_id} did not end{where.get(run_id, '')}; the server exits without it, "
            "and the next server resumes it as on_crash says"
        )
        bus.announce(ScheduleNotice(at=clock.now(), scheduler="", message=message, level="error", code=CODE))
    await bus.aclose()
    os._exit(EXIT_CODE)


def forced_end() -> ForcedEnd:
    """Return what ends the process some time after a second signal."""
    return ForcedEnd(
        {2: FORCED_END_SECONDS},
        "the server",
        "it exits now, and the next server resumes its runs as on_crash says",
    )


async def _running_steps(run_ids: Sequence[str], states: DatabasePool) -> dict[str, str]:
    """Return, for each run that is found, the steps it is in as ` (in step JOB.STEP, TYPE)`."""
    found: dict[str, str] = {}
    for path in states.paths:
        async with states.use(path) as shared:
            for run_id in run_ids:
                try:
                    rows = await shared.database.read(partial(steps_of, run_id=run_id))
                except StateError:
                    continue  # the run is reported without its steps
                steps = [
                    f"{row.job_id}.{row.step_id}, {row.step_type}" for row in rows if row.status == "RUNNING"
                ]
                if steps:
                    found[run_id] = f" (in step {'; '.join(steps)})"
    return found
