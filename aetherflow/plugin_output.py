"""Capture what plugin code prints, warns and logs: each line goes to its step or run, reports stay clean.

While a command runs, `sys.stdout` and `sys.stderr` belong to plugin code. What is written there goes to the
target of the calling context, which tasks, worker threads and plain threads inherit. AetherFlow itself writes
to `real_stdout()` and `real_stderr()`. Outside of a command nothing is captured. May import `redaction`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Literal, NamedTuple, NoReturn, Protocol, TextIO

from aetherflow.redaction import Redactor

Stream = Literal["stdout", "stderr"]
Level = Literal["debug", "info", "warning", "error"]

PLUGIN_PACKAGE = "_aetherflow_plugin_"
"""How the names of the packages begin in which plugin files are imported."""

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
    outer = _target()
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

    target = LineTarget(take)
    try:
        with directed_to(target):
            yield
    finally:
        target.flush()
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


class _StandardError:
    """The target where no other is set: standard error, masked with what the environment names."""

    step = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = LineTarget(self._print)
        self._redactor: Redactor | None = None

    def write(self, stream: Stream, text: str) -> None:
        self._lines.write(stream, text)

    def record(self, level: Level, text: str) -> None:
        self._lines.record(level, f"{level}: {text}")

    def flush(self) -> None:
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


_outside: list[_StandardError] = []
"""The target where no other is set, of the innermost `captured`; empty where nothing is captured."""


def is_capturing() -> bool:
    """Whether the output of plugin code is captured now."""
    return bool(_outside)


def current_target() -> Target | None:
    """Return the target of the calling context, if it has one."""
    return _current.get()


def target_in(context: Context | None) -> Target | None:
    """Return the target of a context, None being the calling one, if it has one."""
    return _current.get() if context is None else context.get(_current)


def _target() -> Target:
    return _current.get() or _outside[-1]


class _Captured(io.TextIOBase):
    """Stands in for a standard stream: text goes to the target of the caller."""

    def __init__(self, stream: Stream, real: TextIO, descriptor_of: TextIO) -> None:
        self._stream: Stream = stream
        self.real = real
        self._descriptor_of = descriptor_of
        self.name = f"<{stream}>"
        self.buffer = _CapturedBytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute of the base
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # as above
        return "backslashreplace"

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        (_current.get() or _outside[-1] if _outside else _StandardError(self.real)).write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        if _current.get() is None and _outside:
            _outside[-1].flush()

    def close(self) -> None:
        """Do nothing: the stream is of everybody."""

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_: Any) -> None:
        """Do nothing: the text goes to the log, whatever its encoding."""

    def fileno(self) -> int:
        """Return the descriptor of standard error, for programs: standard output is the report's."""
        return self._descriptor_of.fileno()


class _CapturedBytes(io.BufferedIOBase):
    """The `buffer` of a captured stream."""

    def __init__(self, text: _Captured) -> None:
        self._text = text

    @property
    def raw(self) -> _CapturedBytes:
        return self

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._text.write(content.decode("utf-8", "backslashreplace"))
        return len(content)

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """Do nothing, as the stream above."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def detach(self) -> NoReturn:
        raise io.UnsupportedOperation("detach")


class _Records(logging.Handler):
    """Passes log records of plugins and libraries to the target of the caller."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            target = _current.get()
            if not _is_wanted(record) or (target is None and record.levelno < logging.WARNING):
                return
            text = self.format(record).rstrip("\n")
            if record.name not in ("root", "py.warnings"):
                own = record.name.startswith(PLUGIN_PACKAGE)
                name = record.name.partition(".")[2] if own else record.name
                text = f"{name}: {text}" if name else text
            if len(text) > LONGEST_RECORD:
                text = f"{text[:LONGEST_RECORD]} ... ({len(text)} characters)"
            (target or _outside[-1]).record(_level_of(record.levelno), text)
        except Exception:  # noqa: BLE001 - an argument that cannot be formatted; shown as logging does
            self.handleError(record)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether a record is shown: of libraries warnings, of plugins and with a level that was set all."""
    if record.levelno >= logging.WARNING or logging.root.level <= logging.DEBUG:
        return True
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        if logger.level:
            return True
        logger = logger.parent
    top = record.name.partition(".")[0]
    return record.name == "root" or top.startswith(PLUGIN_PACKAGE) or top in _packages


def _level_of(number: int) -> Level:
    levels: tuple[tuple[int, Level], ...] = (
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (logging.INFO, "info"),
    )
    return next((level for least, level in levels if number >= least), "debug")


_packages: set[str] = set()
"""The installed packages whose loggers are those of plugins."""


def add_plugin_package(module: str) -> None:
    """Show what the loggers of the package of a module log from `info` on, not from `warning` on."""
    _packages.add(module.partition(".")[0])


def show_everything() -> None:
    """Show all records of libraries too, as `AETHERFLOW_LOG_LEVEL=debug` wants."""
    if is_capturing():
        logging.root.setLevel(logging.DEBUG)


@contextmanager
def captured() -> Iterator[None]:
    """Capture `sys.stdout`, `sys.stderr`, warnings and log records in a block: that of a command.

    Records of AetherFlow's own libraries are left out below `warning`.
    """
    streams = sys.stdout, sys.stderr
    root, level, handler = logging.root, logging.root.level, _Records()
    aiosqlite = logging.getLogger("aiosqlite")
    start, show_warning = threading.Thread.start, warnings.showwarning
    _outside.append(_StandardError(real_stderr()))
    sys.stdout = _Captured("stdout", real_stdout(), real_stderr())
    sys.stderr = _Captured("stderr", real_stderr(), real_stderr())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    aiosqlite.setLevel(logging.WARNING)
    start_with_target: Any = _start_with_target(start)  # a thread has no context of its own
    threading.Thread.start = start_with_target  # type: ignore[method-assign]  # as above
    warnings.showwarning = _log_warning
    try:
        yield
    finally:
        _outside[-1].flush()
        sys.stdout, sys.stderr = streams
        root.removeHandler(handler)
        root.setLevel(level)
        aiosqlite.setLevel(logging.NOTSET)
        threading.Thread.start = start  # type: ignore[method-assign]  # as above
        warnings.showwarning = show_warning
        _outside.pop()


def real_stdout() -> TextIO:
    """Return the standard output of the process, for reports."""
    return sys.stdout.real if isinstance(sys.stdout, _Captured) else sys.stdout


def real_stderr() -> TextIO:
    """Return the standard error of the process."""
    return sys.stderr.real if isinstance(sys.stderr, _Captured) else sys.stderr


def _start_with_target(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Return a `Thread.start` after which the thread writes to the target of its starter."""

    def start_with_target(thread: threading.Thread) -> None:
        target = _current.get()
        if target is not None:
            thread.run = partial(_run_in, target, thread.run)  # type: ignore[method-assign]  # for this thread
        start(thread)

    return start_with_target


def _run_in(target: Target, run: Callable[[], None]) -> None:
    _current.set(target)
    run()


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Make a record of a warning, as `logging.captureWarnings` does, or write it to the given file."""
    text = warnings.formatwarning(message, category, filename, lineno, line)
    if file is not None:
        file.write(text)
        return
    logging.getLogger("py.warnings").warning("%s", text.rstrip("\n"))


def leave_target() -> None:
    """Let the calling thread be of no step and no run from now on."""
    _current.set(None)


os.register_at_fork(after_in_child=leave_target)  # the threads that serve the targets are not in a child
