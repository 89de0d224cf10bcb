"""Gather the failures of a run, each distinct one once: instances of a job often fail for the same reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.admin.run_report.log_tails import read_tail
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut, short_time
from aetherflow.admin.run_tree import JobNode, StepNode
from aetherflow.errors import ErrorInfo
from aetherflow.observe import run_failures
from aetherflow.observe.run_failures import pattern_of
from aetherflow.web.model import Failure

MOST_FAILURES = 40
ALIKE_SHOWN = 20
TAIL_LINES = 12
MESSAGE_CHARACTERS = 4000


class Anchors(msgspec.Struct, frozen=True):
    """Where jobs, and the logs of steps, are in the page."""

    jobs: Mapping[str, str] = {}
    logs: Mapping[tuple[str, str], str] = {}


class _Found(msgspec.Struct):
    """Failures that say the same: the first in plan order, and where the others are."""

    job: JobNode
    step: StepNode | None
    error: Mapping[str, Any]
    first_at: str
    others: list[str]


def distinct_failures(
    nodes: Sequence[JobNode], flow_file: str, anchors: Anchors, masking: Masking
) -> tuple[tuple[Failure, ...], int]:
    """Return the distinct failures, the earliest first, and how many more there are. Blocking: reads logs."""
    found: dict[str, _Found] = {}
    for job, step in _failed(nodes):
        row = step.row if step else job.row
        error = row.error or {"code": "", "message": row.reason or "no reason is known"}
        known = found.setdefault(_key(job, step, error), _Found(job, step, error, row.finished_at or "", []))
        known.first_at = min(known.first_at, row.finished_at or "")
        if known.job is not job:
            known.others.append(
                f"{_where(job, step)} ({job.row.item})" if job.row.item else _where(job, step)
            )
    shown = sorted(found.values(), key=lambda one: one.first_at)[:MOST_FAILURES]
    return tuple(_failure(one, flow_file, anchors, masking) for one in shown), len(found) - len(shown)


def _failed(nodes: Iterable[JobNode]) -> Iterator[tuple[JobNode, StepNode | None]]:
    """Yield what failed: steps, and jobs that failed without a step."""
    for node in nodes:
        steps = list(node.failed_steps())
        yield from steps
        by_step = {job.row.job_id for job, _ in steps}
        for one in (node, *node.instances):
            is_own = one.row.status == "FAILED" and one.row.error and not one.row.reason
            if is_own and one.row.job_id not in by_step:
                yield one, None


def _key(job: JobNode, step: StepNode | None, error: Mapping[str, Any]) -> str:
    """Return what failures have in common that differ only in their items and numbers."""
    log = str((error.get("detail") or {}).get("log_file") or "\n")
    message = "\n".join(line for line in str(error.get("message", "")).splitlines() if log not in line)
    info = msgspec.convert({**error, "message": message}, ErrorInfo)
    step_id = step.row.step_id if step else ""
    return pattern_of(run_failures.Failure(job.row.job_id, step_id, error=info), job.row.item)


def _where(job: JobNode, step: StepNode | None) -> str:
    return f"{job.row.job_id}.{step.row.step_id}" if step else job.row.job_id


def _failure(found: _Found, flow_file: str, anchors: Anchors, masking: Masking) -> Failure:
    job, step, error = found.job, found.step, found.error
    line = step.line if step else job.plan.line
    message, lines = _reason(error, masking)
    return Failure(
        where=masking.text(_where(job, step)),
        step_type=step.row.step_type if step else "",
        item=masking.text(job.row.item),
        place=f"{flow_file}:{line}" if line else "",
        line=line,
        code=str(error.get("code", "")),
        message=message,
        hint=masking.text(str(error.get("hint", ""))),
        at=short_time((step.row if step else job.row).finished_at),
        attempts=step.row.attempt if step else 1,
        lines=lines,
        alike=tuple(masking.text(one) for one in found.others[:ALIKE_SHOWN]),
        more_alike=max(len(found.others) - ALIKE_SHOWN, 0),
        log=anchors.logs.get((job.row.job_id, step.row.step_id), "") if step else "",
        job=anchors.jobs.get(job.row.job_id, ""),
    )


def _reason(error: Mapping[str, Any], masking: Masking) -> tuple[str, tuple[str, ...]]:
    """Return the message and the last lines of the log; if there is no log, the message has them."""
    message = masking.text(cut(str(error.get("message", "")), MESSAGE_CHARACTERS))
    log = (error.get("detail") or {}).get("log_file")
    if not log:
        return message, ()
    try:
        tail = read_tail(Path(log), TAIL_LINES, masking)
    except OSError:  # it was deleted: the message has its last lines
        return message, ()
    return (message.partition("\n")[0], tail.lines) if tail.lines else (message, ())
