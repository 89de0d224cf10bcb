"""Hold the locks of a run's jobs (`flow.locks.scope: job`), each in a task from first to last step."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.abc

from aetherflow.events.run_events import Event, JobFinished
from aetherflow.execution.held_resource import HeldResource
from aetherflow.sdk.services import Locks
from aetherflow.spec.flow import LocksSpec


def job_lock_key(flow_id: str, job_id: str) -> str:
    """Return the name of the lock that a job takes."""
    return f"job:{flow_id}/{job_id}"


class JobLocks:
    """The locks of the jobs of one run; the instances of a mapped job share the lock of their job."""

    def __init__(self, flow_id: str, spec: LocksSpec, locks: Locks) -> None:
        self._flow_id = flow_id
        self._spec = spec
        self._locks = locks
        self._held: dict[str, HeldResource] = {}

    def of(self, job_id: str) -> HeldResource | None:
        """Return the lock of a job, held or requested; None if the flow wants none."""
        return self._held.get(job_id)

    def request(self, job_id: str, tasks: anyio.abc.TaskGroup) -> None:
        """Let a task take the lock of a job before its first step, if the flow wants that.

        While a step that did not get it may be retried, the next attempt requests it again. Once a step has
        failed because of it, or it was lost, it is not requested again: another run may have had it since.
        """
        if self._spec.scope != "job":
            return
        known = self._held.get(job_id)
        if known is not None and (known.error is None or known.is_lost):
            return
        lock = self._held[job_id] = HeldResource("job_lock")
        holding = self._locks.hold(
            job_lock_key(self._flow_id, job_id),
            ttl_seconds=self._spec.ttl_seconds,
            wait_seconds=0,
            job_id=job_id,
            step_id="",
        )
        tasks.start_soon(lock.hold, holding)

    def release(self, events: Sequence[Event]) -> None:
        """Release the locks of jobs whose end is durable."""
        for event in events if self._held else ():
            if isinstance(event, JobFinished) and (lock := self._held.pop(event.job_id, None)):
                lock.give_back()
