"""What the components show of a run. All texts are masked already; none is escaped yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec


class Command(msgspec.Struct, frozen=True):
    """A command for a person to copy, and what it does."""

    does: str
    line: str


class Fact(msgspec.Struct, frozen=True):
    """A name and its value; `note` says more about it.

    Attributes:
        is_code: whether the value is one of a machine: an id, a path, JSON.
    """

    name: str
    value: str
    note: str = ""
    is_code: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows below a heading.

    Attributes:
        note: what is said below them.
        empty: what is said if there are none.
        machine_columns: the numbers of the columns that hold values of machines: ids, paths, JSON.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    empty: str = ""
    machine_columns: tuple[int, ...] = ()


class Headline(msgspec.Struct, frozen=True):
    """How a run ended, in one look.

    Attributes:
        seconds: how long its last execution took.
        sentences: why it came so, each with its time.
        warnings: what a reader must know before the rest.
        jobs: how many jobs there are by status.
    """

    flow_id: str
    run_id: str
    status: str
    reason: str
    seconds: float | None
    facts: tuple[Fact, ...]
    sentences: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    jobs: Mapping[str, int] = {}
    steps: Mapping[str, int] = {}


class Failure(msgspec.Struct, frozen=True):
    """A failure, and all others that say the same.

    Attributes:
        where: `job.step`, or a job.
        place: `flow.yaml:12`; empty if unknown.
        line: of the flow; 0 if unknown.
        lines: the last lines of the program.
        alike: where the same happened too.
        log: the anchor of the log in the page.
    """

    where: str
    step_type: str
    item: str
    place: str
    line: int
    code: str
    message: str
    hint: str = ""
    at: str = ""
    attempts: int = 1
    lines: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    more_alike: int = 0
    log: str = ""
    job: str = ""


class Node(msgspec.Struct, frozen=True):
    """A job of the graph, or several jobs drawn as one.

    Attributes:
        note: `3 steps`, `300 instances`.
        parts: how many instances or jobs it stands for, by status; empty for one job.
        anchor: of the job in the page.
    """

    id: str
    label: str
    status: str
    note: str = ""
    kind: Literal["job", "fan", "group", "hook"] = "job"
    parts: Mapping[str, int] = {}
    anchor: str = ""


class Edge(msgspec.Struct, frozen=True):
    """`target` waits for the success (`needs`) or the end (`after`) of `source`."""

    source: str
    target: str
    kind: Literal["needs", "after"] = "needs"


class Graph(msgspec.Struct, frozen=True):
    """Jobs and what they wait for; `note` says what is drawn as one."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    note: str = ""


class Span(msgspec.Struct, frozen=True):
    """A piece of time in the timeline.

    Attributes:
        kind: an attempt, a wait for a pool or a free place, the wait before the next attempt.
        status: of an attempt.
        title: what it is, in words.
    """

    start: datetime
    end: datetime
    kind: Literal["attempt", "wait", "backoff"]
    status: str
    title: str


class StepEntry(msgspec.Struct, frozen=True):
    """A step of a job.

    Attributes:
        notes: its waits, attempts, marks and effects, a sentence each.
        log: the anchor of its log in the page.
    """

    id: str
    type: str
    status: str
    seconds: float | None
    line: int
    spans: tuple[Span, ...] = ()
    reason: str = ""
    error: str = ""
    hint: str = ""
    attempt: int = 1
    notes: tuple[str, ...] = ()
    outputs: str = ""
    log: str = ""


class JobEntry(msgspec.Struct, frozen=True):
    """A job, an instance of one, or a hook, with its steps.

    Attributes:
        activity: of a job with instances: when they ran.
        parts: how many instances it has, by status.
        hidden: what is not shown of it, in words.
        is_open: it is unfolded at first.
    """

    id: str
    anchor: str
    status: str
    seconds: float | None
    line: int
    item: str = ""
    spans: tuple[Span, ...] = ()
    activity: tuple[Span, ...] = ()
    parts: Mapping[str, int] = {}
    steps: tuple[StepEntry, ...] = ()
    instances: tuple[JobEntry, ...] = ()
    hidden: str = ""
    reason: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()
    outputs: str = ""
    is_open: bool = False
    is_hook: bool = False
    is_kept: bool = False


class Execution(msgspec.Struct, frozen=True):
    """A piece of time in which a process executed the run; the first is attempt 1."""

    start: datetime
    end: datetime
    attempt: int


class Timeline(msgspec.Struct, frozen=True):
    """The jobs of a run in plan order, and the times in which it was executed."""

    executions: tuple[Execution, ...]
    jobs: tuple[JobEntry, ...]
    hidden: str = ""


class EventLine(msgspec.Struct, frozen=True):
    """An event, as the table shows it."""

    seq: int
    at: datetime
    level: str
    event: str
    where: str
    message: str


class EventTable(msgspec.Struct, frozen=True):
    """Events of a run; `note` says which are shown, `command` prints all of them."""

    lines: tuple[EventLine, ...]
    total: int
    note: str
    command: str


class LogTail(msgspec.Struct, frozen=True):
    """The end of what an attempt of a step wrote.

    Attributes:
        size: of the whole log in bytes.
        is_cut: whether lines before the first one shown are missing, or pieces of long lines.
        is_open: it is unfolded at first.
    """

    anchor: str
    where: str
    attempt: int
    status: str
    path: str
    size: int
    lines: tuple[str, ...]
    is_cut: bool
    is_open: bool = False


class Logs(msgspec.Struct, frozen=True):
    """The logs of a run; `note` says which are shown, `command` prints all of them."""

    tails: tuple[LogTail, ...]
    total: int
    note: str
    command: str = ""


class FlowText(msgspec.Struct, frozen=True):
    """The flow file.

    Attributes:
        note: whether it is as it ran.
        is_as_it_ran: None: it is not known.
        marked: the lines in which something failed.
    """

    file: str
    lines: tuple[str, ...]
    note: str
    is_as_it_ran: bool | None
    marked: frozenset[int] = frozenset()


class RunPage(msgspec.Struct, frozen=True):
    """All that the page about a run shows.

    Attributes:
        written_at: when it was made (UTC).
        writer: the program that made it.
    """

    headline: Headline
    failures: tuple[Failure, ...]
    more_failures: int
    stale: Table
    graph: Graph
    timeline: Timeline
    params: Table
    outputs: Table
    marks: Table
    events: EventTable
    logs: Logs
    flow: FlowText
    variables: Table
    versions: Table
    resumes: Table
    written_at: datetime
    writer: str
