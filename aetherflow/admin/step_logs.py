"""Find the log files of a run's steps, and read their ends without reading the rest."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.run_tree import job_of_plan
from aetherflow.events.nested_steps import outer_step

BLOCK = 1 << 16


class StepLog(msgspec.Struct, frozen=True):
    """The output of one attempt of a step: who wrote it, and where it is."""

    job_id: str
    step_id: str
    attempt: int
    path: Path
    size_bytes: int


class LogFilter(msgspec.Struct, frozen=True):
    """Which logs are wanted; what is empty does not restrict them.

    Attributes:
        job: a job with all its instances, or one instance.
        step: a step of any job, or `job.step`.
        only: (job, step) pairs; None: all.
        steps: those of the flow (`steps_of`): the log of a step inside one of them (`with_lock`) is its log.
    """

    job: str = ""
    step: str = ""
    only: Collection[tuple[str, str]] | None = None
    steps: Collection[tuple[str, str]] = frozenset()

    def has(self, log: StepLog) -> bool:
        """Whether a log is wanted."""
        jobs = (log.job_id, job_of_plan(log.job_id))
        outer = outer_step(log.step_id, lambda name: (jobs[1], name) in self.steps)
        names = {name for step in (log.step_id, outer) for name in (step, *(f"{job}.{step}" for job in jobs))}
        is_wanted = self.only is None or (log.job_id, outer) in self.only
        return is_wanted and self.job in ("", *jobs) and self.step in ("", *names)


def steps_of(history: RunHistory) -> frozenset[tuple[str, str]]:
    """Return the steps of the flow of a run, each with its job; also those that have not begun."""
    planned = {(job.id, step.id) for job in history.plan for step in job.steps}
    return frozenset(planned | {(job_of_plan(row.job_id), row.step_id) for row in history.steps})


def step_logs(files: Iterable[Path], wanted: LogFilter) -> list[StepLog]:
    """Return the logs that are wanted, in the order of the files. Blocking."""
    return [log for log in map(_log, files) if log is not None and wanted.has(log)]


def _log(file: Path) -> StepLog | None:
    step, _, attempt = file.stem.rpartition(".")
    try:
        return StepLog(file.parent.name, step, int(attempt), file, file.stat().st_size)
    except (ValueError, FileNotFoundError):  # no log of a step, or it was deleted meanwhile
        return None


def seek_last_lines(log: BinaryIO, count: int) -> None:
    """Move to the beginning of the last lines of a file: it is read from its end, a block at a time."""
    end = log.seek(0, os.SEEK_END)
    if not count or not end:
        return
    end -= _byte(log, end - 1) == b"\n"  # the end of the last line
    while end > 0:
        start = max(end - BLOCK, 0)
        log.seek(start)
        block = log.read(end - start)
        while (found := block.rfind(b"\n")) >= 0:
            count -= 1
            if not count:
                log.seek(start + found + 1)
                return
            block = block[:found]
        end = start
    log.seek(0)


def _byte(log: BinaryIO, at: int) -> bytes:
    log.seek(at)
    return log.read(1)
