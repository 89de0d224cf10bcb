"""The targets of output: to which step or run what plugin code writes goes, in each task and thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from typing import Literal, NamedTuple, Protocol, TextIO

from aetherflow.redaction import Redactor

Stream = Literal["stdout", "stderr"]
Level = Literal["debug", "info", "warning", "error"]

MOST_HELD = 1000
"""How many lines are held back; the rest is counted."""

LONGEST_RECORD = 1 << 16
"""A log record longer than this (characters) is cut."""


class Target(Protocol):
    """Takes the output of plugin code, from any thread; its methods neither wait nor raise.

    Attributes:
        step: what stands for the step whose code it is; None if it is of no step, or AetherFlow's own.
    """

    @property
    def step(self) -> object:
        """Return it; see the class."""
        ...

    def write(self, stream: Stream, text: str) -> None:
        """Take a piece of text, which need not end with a line."""
        ...

    def record(self, level: Level, text: str) -> None:
        """Take a log record."""
        ...


class Line(NamedTuple):
    """A line that was printed, or a log record."""

    level: Level
    text: str


class LineTarget:
    """A target that passes on whole lines; `flush` passes on what has no end yet."""

    step = None

    def __init__(self, take: Callable[[Line], None]) -> None:
        self._take = take
        self._unfinished = {"stdout": "", "stderr": ""}
        self._lock = threading.RLock()  # a `__del__` may print while this thread prints

    def write(self, stream: Stream, text: str) -> None:
        """Take a piece of text."""
        with self._lock:
            *lines, rest = (self._unfinished[stream] + text).split("\n")
            while len(rest) > LONGEST_RECORD:
                lines.append(rest[:LONGEST_RECORD])
                rest = rest[LONGEST_RECORD:]
            self._unfinished[stream] = rest
        for line in lines:
            self._take(Line("info", line))

    def record(self, level: Level, text: str) -> None:
        """Take a log record."""
        self._take(Line(level, text))

    def flush(self) -> None:
        """Pass on lines without an end."""
        for stream in ("stdout", "stderr"):
            with self._lock:
                rest, self._unfinished[stream] = self._unfinished[stream], ""
            if rest:
                self._take(Line("info", rest))


_current: ContextVar[Target | None] = ContextVar("plugin_output", default=None)


@contextmanager
def directed_to(target: Target) -> Iterator[None]:
    """Let a target have what plugin code writes in a block, and in the tasks and threads that it starts."""
    token = _current.set(target)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def held_back(redactor: Redactor) -> Iterator[None]:
    """Hold what plugin code writes in a block back until its end, when its secrets are known, and mask it.

    Then it goes to the target outside of the block. Nothing is held where nothing is captured.
    """
    if not is_capturing():
        yield
        return
    outer = target()
    lines: list[Line] = []
    omitted = 0
    is_over = False

    def take(line: Line) -> None:
        nonlocal omitted
        if is_over:  # of a thread that the block has started
            _pass_on(Line(line.level, redactor.text(line.text)), outer)
        elif len(lines) < MOST_HELD:
            lines.append(line)
        else:
            omitted += 1

    held = LineTarget(take)
    try:
        with directed_to(held):
            yield
    finally:
        held.flush()
        is_over = True
        if omitted:
            lines.append(Line("warning", f"{omitted} more lines of plugins are not shown"))
        for line in lines:
            _pass_on(Line(line.level, redactor.text(line.text)), outer)


def _pass_on(line: Line, target: Target) -> None:
    if line.level == "info":
        target.write("stderr", f"{line.text}\n")
    else:
        target.record(line.level, line.text)


class StandardError:
    """The target where no other is set: standard error, masked with what the environment names."""

    step = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = LineTarget(self._print)
        self._redactor: Redactor | None = None

    def write(self, stream: Stream, text: str) -> None:
        """Take a piece of text."""
        self._lines.write(stream, text)

    def record(self, level: Level, text: str) -> None:
        """Take a log record."""
        self._lines.record(level, f"{level}: {text}")

    def flush(self) -> None:
        """Print lines without an end."""
        self._lines.flush()

    def _print(self, line: Line) -> None:
        if self._redactor is None:
            self._redactor = Redactor()
            self._redactor.add_named(dict(os.environ))
        with suppress(OSError, ValueError):  # nobody reads it; the exit code says how the command ended
            self._stream.write(self._redactor.text(line.text) + "\n")
            self._stream.flush()


def print_outside(text: str) -> None:
    """Print a line where output goes that has no target; nothing where nothing is captured."""
    if _outside:
        _outside[-1].write("stderr", f"{text}\n")


_outside: list[StandardError] = []
"""The target where no other is set, of the innermost `captured`; empty where nothing is captured."""


@contextmanager
def outside_to(stream: TextIO) -> Iterator[None]:
    """Capture in a block: what has no target is printed to a stream."""
    _outside.append(StandardError(stream))
    try:
        yield
    finally:
        _outside[-1].flush()
        _outside.pop()


def flush_outside() -> None:
    """Print lines without an end that were written where no target is set, from such a place."""
    if _current.get() is None and _outside:
        _outside[-1].flush()


def is_capturing() -> bool:
    """Whether the output of plugin code is captured now."""
    return bool(_outside)


def current_target() -> Target | None:
    """Return the target of the calling context, if it has one."""
    return _current.get()


def target_in(context: Context | None) -> Target | None:
    """Return the target of a context, None being the calling one, if it has one."""
    return _current.get() if context is None else context.get(_current)


def target() -> Target:
    """Return what takes the output of the calling context, while output is captured."""
    return _current.get() or _outside[-1]


def enter_target(target: Target) -> None:
    """Let a target have what the calling thread writes from now on."""
    _current.set(target)


def leave_target() -> None:
    """Let the calling thread be of no step and no run from now on."""
    _current.set(None)


os.register_at_fork(after_in_child=leave_target)  # the threads that serve the targets are not in a child
