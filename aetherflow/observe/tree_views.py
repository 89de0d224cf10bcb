"""The parts of the live tree: jobs, the instances of mapped jobs, steps, and why they wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from aetherflow.observe.step_pace import Pace


class WaitKind(StrEnum):
    """What a step waits for."""

    POOL = "pool"
    LOCK = "lock"
    RETRY = "retry"
    WORKER = "worker"


class Holder(NamedTuple):
    """Who held what a step waits for when the wait began; a step of the run itself is named `job.step`."""

    name: str
    is_of_run: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a step does not work.

    Attributes:
        name: of the pool or the lock, or of the executor whose workers are busy.
        held_by: who held it when the wait began.
        ahead: how many others waited before this one then.
        words: why the attempt before failed.
        until: when it ends, if that is known.
    """

    kind: WaitKind
    name: str = ""
    held_by: tuple[Holder, ...] = ()
    ahead: int = 0
    words: str = ""
    until: datetime | None = None


@dataclass(slots=True)
class StepView:
    """A step as it is shown.

    Attributes:
        text: the last line of its program.
        why: how it ended.
        place: the worker that its attempt runs on; empty: the process of the run, or none yet.
    """

    step_type: str
    started: datetime
    status: str = "RUNNING"
    attempt: int = 1
    seconds: float = 0.0
    text: str = ""
    pace: Pace | None = None
    wait: Wait | None = None
    why: str = ""
    place: str = ""


@dataclass(slots=True)
class Fan:
    """The instances of a mapped job.

    Attributes:
        total: how many there are.
        before: how many had ended before this execution of the run.
        ended: how many have ended since, by status.
        begun: when the first of them began.
        waits: how many wait, by what they wait for.
        running: those that run.
        failed: the first ones that failed.
    """

    total: int
    before: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    begun: datetime | None = None
    waits: Counter[tuple[WaitKind, str]] = field(default_factory=Counter)
    running: dict[str, JobView] = field(default_factory=dict)
    failed: dict[str, JobView] = field(default_factory=dict)


@dataclass(slots=True)
class JobView:
    """A job, or an instance, as it is shown, with the steps that have begun, in order.

    Attributes:
        item: of an instance, its item in few characters.
        step_count: how many steps the flow gives it; 0 if unknown.
        fan: its instances, if it is mapped.
        wait: what it waits for, if it is an instance.
    """

    started: datetime
    status: str = "RUNNING"
    seconds: float = 0.0
    why: str = ""
    item: str = ""
    step_count: int = 0
    steps: dict[str, StepView] = field(default_factory=dict)
    fan: Fan | None = None
    wait: Wait | None = None
