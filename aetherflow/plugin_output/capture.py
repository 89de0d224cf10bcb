"""Capture the output of plugin code while a command runs: streams, warnings, log records, in all threads."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TextIO

from aetherflow.plugin_output.records import Records
from aetherflow.plugin_output.streams import CapturedStream, real_stderr, real_stdout
from aetherflow.plugin_output.targets import Target, current_target, enter_target, is_capturing, outside_to


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
    root, level, handler = logging.root, logging.root.level, Records()
    aiosqlite = logging.getLogger("aiosqlite")
    start, show_warning = threading.Thread.start, warnings.showwarning
    start_with_target: Any = _start_with_target(start)  # a thread has no context of its own
    with outside_to(real_stderr()):
        sys.stdout = CapturedStream("stdout", real_stdout(), real_stderr())
        sys.stderr = CapturedStream("stderr", real_stderr(), real_stderr())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        aiosqlite.setLevel(logging.WARNING)
        threading.Thread.start = start_with_target  # type: ignore[method-assign]  # as above
        warnings.showwarning = _log_warning
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            root.removeHandler(handler)
            root.setLevel(level)
            aiosqlite.setLevel(logging.NOTSET)
            threading.Thread.start = start  # type: ignore[method-assign]  # as above
            warnings.showwarning = show_warning


def _start_with_target(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Return a `Thread.start` after which the thread writes to the target of its starter."""

    def start_with_target(thread: threading.Thread) -> None:
        target = current_target()
        if target is not None:
            thread.run = partial(_run_in, target, thread.run)  # type: ignore[method-assign]  # for this thread
        start(thread)

    return start_with_target


def _run_in(target: Target, run: Callable[[], None]) -> None:
    enter_target(target)
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
