"""Compute how long a step may take: its own time limit, and what is left of its job instance's."""

from __future__ import annotations

import math

import anyio

from aetherflow.clock import Clock, wait_within
from aetherflow.errors import ErrorInfo
from aetherflow.execution.attempt import AttemptPlace
from aetherflow.plan.plan import JobPlan, StepPlan
from aetherflow.spec.messages import MessageStep

LEAST_SECONDS = 5.0
"""How long an attempt may take at least that is taken up again after its process had died."""


class JobTimer:
    """The time limit of one job instance; it counts from the first look at it, when the first step begins."""

    def __init__(self, job: JobPlan, clock: Clock) -> None:
        self._seconds = job.timeout_seconds
        self._clock = clock
        self._deadline = math.inf

    def left(self) -> float:
        """Return how many seconds the job still has; infinite if it has no limit."""
        if self._seconds is None:
            return math.inf
        now = self._clock.monotonic()
        self._deadline = min(self._deadline, now + self._seconds)
        return max(self._deadline - now, 0)

    def limit(self, step: StepPlan, spent_seconds: float = 0) -> tuple[float | None, ErrorInfo]:
        """Return how many seconds an attempt may take, and the error when they are over.

        One that is taken up again has spent some of its time; it has at least LEAST_SECONDS, to be joined.
        """
        full, left = step.spec.timeout_seconds, self.left()
        own = max(full - spent_seconds, LEAST_SECONDS) if full is not None and spent_seconds else full
        if left < (math.inf if own is None else own):
            message = f"{whose_time(step)} timeout_seconds passed after {self._seconds:g} s"
            hint = "raise timeout_seconds of the job if its steps need that long"
            if isinstance(step.spec, MessageStep):
                hint = "raise timeout_seconds of the entry of notify if sending needs that long"
            return left, ErrorInfo("AF711", message, kind="timeout", hint=hint, cause="job_timeout")
        message = f"the step's timeout_seconds passed after {full or 0:g} s"
        hint = "raise timeout_seconds if the work needs that long"
        return own, ErrorInfo("AF710", message, kind="timeout", hint=hint)

    async def expire(self, step: StepPlan, place: AttemptPlace) -> ErrorInfo:
        """Return the error of an attempt when its time is over.

        While it waits for a worker only the time of its job passes.
        """
        if not place.has_begun and (left := self.left()) < math.inf:
            await wait_within(self._clock, left, place.wait_until_begun)
        elif not place.has_begun:
            await place.wait_until_begun()
        seconds, over = self.limit(step, place.spent_seconds)
        if seconds is None:
            await anyio.sleep_forever()
        elif seconds:
            await self._clock.sleep(seconds)
        return over


def whose_time(step: StepPlan) -> str:
    """Return whose time limit is that of the job: the one of an entry of `notify` is a message's."""
    return "the message's" if isinstance(step.spec, MessageStep) else "the job's"
