"""Compare two runs: params, flow, and each job and step that ended otherwise or took another time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow.admin.error_words import error_line
from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.run_tree import JobNode, StepNode, run_tree
from aetherflow.store.run_list import ListedRun
from aetherflow.store.stored_times import seconds_between

SLOWER_FACTOR = 1.5
SLOWER_SECONDS = 1.0
"""A duration differs if it is more than so many times, and so many seconds, longer or shorter."""
ABSENT = ""
"""The status of a job or step that one of the runs has not."""


class Changed(msgspec.Struct, frozen=True):
    """A value that differs: a parameter, or an output; None if a run has it not."""

    name: str
    a: Any
    b: Any


class PartDiff(msgspec.Struct, frozen=True):
    """A job (`job`) or step (`job.step`) that differs.

    Attributes:
        a_status: in the first run; empty if it is not there.
        outputs: the outputs that differ.
        a_error: why it failed, the first line.
    """

    name: str
    a_status: str
    b_status: str
    a_seconds: float | None
    b_seconds: float | None
    outputs: list[Changed] = []
    a_error: str = ""
    b_error: str = ""

    @property
    def is_other_time(self) -> bool:
        """Whether it took clearly longer in one of the runs."""
        if self.a_seconds is None or self.b_seconds is None:
            return False
        less, more = sorted((self.a_seconds, self.b_seconds))
        return more - less > SLOWER_SECONDS and more > less * SLOWER_FACTOR

    @property
    def differs(self) -> bool:
        """Whether there is anything to show."""
        return self.a_status != self.b_status or bool(self.outputs) or self.is_other_time


class RunDiff(msgspec.Struct, frozen=True):
    """How two runs differ.

    Attributes:
        is_other_flow: they are of two flows, or the flow was changed between them.
        parts: the jobs and steps that differ, in the order of the second run.
        same: how many jobs and steps do not differ.
    """

    a: ListedRun
    b: ListedRun
    is_other_flow: bool
    params: list[Changed]
    parts: list[PartDiff]
    same: int


def diff_runs(a: RunHistory, b: RunHistory) -> RunDiff:
    """Return how two runs differ."""
    of_a, of_b = dict(_parts(a)), dict(_parts(b))
    names = [*of_b, *(name for name in of_a if name not in of_b)]
    pairs = [_compared(name, of_a.get(name), of_b.get(name)) for name in names]
    parts = [one for one in pairs if one.differs]
    other = a.run.flow_id != b.run.flow_id or a.definition != b.definition
    return RunDiff(a.run, b.run, other, _changed(a.run.params, b.run.params), parts, len(pairs) - len(parts))


def _parts(history: RunHistory) -> Iterator[tuple[str, JobNode | StepNode]]:
    for whole in run_tree(history):
        for node in (whole, *whole.instances):
            yield node.row.job_id, node
            for step in node.steps:
                yield f"{node.row.job_id}.{step.row.step_id}", step


def _compared(name: str, a: JobNode | StepNode | None, b: JobNode | StepNode | None) -> PartDiff:
    is_in_both = a is not None and b is not None
    return PartDiff(
        name,
        a.row.status if a else ABSENT,
        b.row.status if b else ABSENT,
        _seconds(a),
        _seconds(b),
        _changed(_outputs(a), _outputs(b)) if is_in_both else [],
        error_line(a.row.error) if a else "",
        error_line(b.row.error) if b else "",
    )


def _seconds(part: JobNode | StepNode | None) -> float | None:
    return None if part is None else seconds_between(part.row.started_at, part.row.finished_at)


def _outputs(part: JobNode | StepNode | None) -> dict[str, Any]:
    """Return the outputs of a job; those of a step that it gives to its job are there."""
    return part.row.outputs or {} if isinstance(part, JobNode) else {}


def _changed(a: dict[str, Any], b: dict[str, Any]) -> list[Changed]:
    """Return the values that differ, by name."""
    return [Changed(name, a.get(name), b.get(name)) for name in {**a, **b} if a.get(name) != b.get(name)]
