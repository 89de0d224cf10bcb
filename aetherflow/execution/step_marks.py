"""Decide from which high-water mark an attempt of a step starts, and note what it moves the mark to."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.engine.state import RunState
from aetherflow.errors import StepError
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.plan.hooks import ending_of, is_hook
from aetherflow.ports import StoredMark
from aetherflow.sdk.marks import Marks

MarkUsers = dict[str, tuple[str, str]]
"""The job and the step that use a mark in this execution of a run, by the name of the mark."""


class StepMarks:
    """Implements `MarkLog` for an attempt that runs.

    Args:
        state: the state of the run.
        stored: the stored marks of the flow.
        users: shared by all steps of the execution.
        job_id: the job, or the instance of a mapped job.
        step_id: the step.
    """

    def __init__(self, state: RunState, stored: Marks, users: MarkUsers, job_id: str, step_id: str) -> None:
        self._state = state
        self._stored = stored
        self._users = users
        self._step = (job_id, step_id)
        self._uses: dict[str, MarkUse] = {}

    async def read(self, name: str) -> Mark | None:
        """Return the mark that the attempt starts from.

        A step that runs again after its success starts where it started then: its files are written again,
        so they must have the same rows. Only a mark that a person has set since wins over that.

        Raises:
            StepError: another step of the run uses the mark: each would skip what the other has read.
        """
        user = self._user(name)
        if user != self._step:
            raise _used_twice(name, self._step, user)
        self._users[name] = user
        if name not in self._uses:
            found = await self._stored.read(name)
            earlier = self._state.marks.get(name)
            if earlier is not None and earlier.set_count == found.set_count:
                found = StoredMark(earlier.before, earlier.set_count)
            self._uses[name] = MarkUse(before=found.mark, set_count=found.set_count)
        return self._uses[name].before

    async def used(self, moved: Mapping[str, Mark]) -> dict[str, MarkUse]:
        """Return how the attempt has used its marks; one that it moves without having read it is read now.

        Raises:
            StepError: another step of the run uses a mark; or a value cannot be compared with what it was.
        """
        for name, mark in moved.items():
            before = await self.read(name)
            if before is not None:
                mark.is_above(before)
            self._uses[name] = MarkUse(before, mark, self._uses[name].set_count)
        return dict(self._uses)

    def release(self) -> None:
        """Let other steps use the marks of an attempt that has not succeeded."""
        for name in self._uses:
            self._users.pop(name, None)

    def _user(self, name: str) -> tuple[str, str]:
        """Return the step that uses a mark: one of this execution, or one whose result is stored."""
        if name in self._users:
            return self._users[name]
        earlier = self._state.marks.get(name)
        if earlier is None or self._is_over(earlier.job_id):
            return self._step
        step = self._state.job(earlier.job_id).steps.get(earlier.step_id)
        is_done = step is not None and step.status == "SUCCESS"
        return (earlier.job_id, earlier.step_id) if is_done else self._step

    def _is_over(self, job_id: str) -> bool:
        """Whether a job is a hook of an ending that is over; the next ending has a hook of its own."""
        return is_hook(job_id) and ending_of(job_id) <= self._state.endings


def _used_twice(name: str, step: tuple[str, str], other: tuple[str, str]) -> StepError:
    return StepError(
        f"the steps {'.'.join(other)} and {'.'.join(step)} of this run use the same mark {name!r}: "
        "each would skip what the other has read",
        hint="give each a mark of its own; in a mapped job its name has the item: "
        "watermark: {name: 'orders-{{item}}'}",
        code="AF991",
        detail={"mark": name},
    )
