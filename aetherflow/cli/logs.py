"""`aetherflow logs`: print the output of the programs of a run, without control characters."""

from __future__ import annotations

import os
import re
import shutil
import time
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from msgspec.structs import replace

from aetherflow.admin.queries import StateQueries
from aetherflow.admin.run_events import is_left
from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.step_logs import LogFilter, StepLog, seek_last_lines, step_logs, steps_of
from aetherflow.cli import completers
from aetherflow.cli.options import Json, NamedRun
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, history_path, named_state, say_no_runs
from aetherflow.cli_hints import show_command
from aetherflow.errors import UsageError
from aetherflow.observe.colours import coloured_line, shows_colours
from aetherflow.observe.event_text import one_line
from aetherflow.observe.line_writer import writing_to
from aetherflow.plugin_output import real_stdout

PIECE_BYTES = 1 << 16
"""A longer line is shown in pieces."""
POLL_SECONDS = 0.3


def logs(
    run: NamedRun = "",
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    job: Annotated[
        str,
        typer.Option(
            metavar="JOB",
            help="Only of this job, with its instances.",
            autocompletion=completers.jobs_of_run,
        ),
    ] = "",
    step: Annotated[str, typer.Option(metavar="STEP", help="Only of this step: STEP or JOB.STEP.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only of steps that failed.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what comes until the run ends.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only the last N lines of each log.")
    ] = None,
    grep: Annotated[
        str, typer.Option(metavar="REGEX", help="Only lines in which this regular expression is found.")
    ] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes as they are, control characters too.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the output of the programs of a run. With --json, only where it is stored."""
    if raw and (follow or tail is not None or grep):
        raise UsageError("--raw prints whole files", hint="leave out --follow, --tail and --grep")
    if json and (raw or follow or tail is not None or grep):
        raise UsageError(
            "--json says only where the logs are", hint="leave out --raw, --follow, --tail and --grep"
        )
    pattern = _pattern(grep) if grep else None
    path = history_path(state, flow_yaml, run)
    history = None if path is None else ask_state(path, lambda ask: ask.find_history(run))
    if path is None or history is None:
        if json:
            print_report("logs", {"run_id": None, "logs": []})
        else:
            say_no_runs(flow_yaml)
        return
    source = _Source(path, history, LogFilter(job, step), failed_only=failed)
    found = source.logs()
    if not found and not follow:
        which = "step that fits these options" if job or step or failed else f"step of run {source.run_id}"
        what = f"no {which} wrote a log, or the logs were removed"
        raise UsageError(what, hint=show_command(source.run_id, named_state(path)))
    if json:
        print_report("logs", {"run_id": source.run_id, "logs": found})
        return
    if follow:
        _follow(source, tail, pattern)
        return
    shown = [_print_log(log, tail, pattern, raw=raw) for log in found]
    if pattern is not None and not any(shown):
        print_note("no line fits --grep")


class _Source:
    """The logs of one run, which may grow while they are read."""

    def __init__(self, path: Path, history: RunHistory, wanted: LogFilter, *, failed_only: bool) -> None:
        self._path, self._history = path, history
        self._wanted, self._failed_only = replace(wanted, steps=steps_of(history)), failed_only
        self.run_id = history.run.run_id

    def logs(self) -> list[StepLog]:
        """Return the logs that exist now, in the order in which they were written last."""

        async def files(ask: StateQueries) -> list[Path]:
            return ask.step_logs(self.run_id)

        only = {(one.job_id, one.step_id) for one in self._history.steps if one.status == "FAILED"}
        wanted = replace(self._wanted, only=only if self._failed_only else None)
        return step_logs(ask_state(self._path, files), wanted)

    def status(self) -> str:
        """Look at the run again, and return its status."""
        if self._failed_only:
            self._history = ask_state(self._path, lambda ask: ask.run_history(self.run_id))
        return ask_state(self._path, lambda ask: ask.run(self.run_id)).status


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"--grep {text}: {error}", hint="it is a regular expression, as in Python") from None


def _heading(log: StepLog) -> str:
    return one_line(f"== {log.job_id}.{log.step_id}, attempt {log.attempt} ({log.path})")


def _open(log: StepLog) -> BinaryIO | None:
    """Open a log; one that somebody has removed since they were listed, as `runs prune` does, is reported."""
    try:
        return log.path.open("rb")
    except FileNotFoundError:
        print_note(f"{log.path} has been removed meanwhile")
        return None


def _print_log(log: StepLog, tail: int | None, pattern: re.Pattern[str] | None, *, raw: bool) -> bool:
    """Print a log with its heading; return whether it had a line to print."""
    file = _open(log)
    if file is None:
        return False
    with file, writing_to(real_stdout().buffer, "standard output"):
        if raw:
            print_text(_heading(log))
            shutil.copyfileobj(file, real_stdout().buffer)
            real_stdout().buffer.write(b"\n")
            return True
        if tail is not None and pattern is None:
            seek_last_lines(file, tail)
        lines: Iterable[bytes] = _safe_lines(file)
        if pattern is not None:
            lines = _fitting(lines, pattern)
            if tail is not None:
                lines = deque(lines, maxlen=tail)
        return _print_lines(log, lines, needs_line=pattern is not None)


def _print_lines(
    log: StepLog, lines: Iterable[bytes], *, needs_line: bool, is_continued: bool = False
) -> bool:
    """Print the heading, with `needs_line` only if a line follows, and the lines; return whether one did."""
    has_line, out = False, real_stdout().buffer
    if not needs_line:
        print_text(_heading(log))
    for line in lines:
        if needs_line and not has_line and not is_continued:
            print_text(_heading(log))
        has_line = True
        out.write(line)
    out.flush()
    return has_line


def _fitting(lines: Iterable[bytes], pattern: re.Pattern[str]) -> Iterator[bytes]:
    for line in lines:
        text = line.removesuffix(b"\n")
        if pattern.search(text.decode()):
            yield text + b"\n"  # the piece of a long line ends here: the next one may not fit


def _follow(source: _Source, tail: int | None, pattern: re.Pattern[str] | None) -> None:
    """Print what the logs have and what comes, until the run has ended."""
    places: dict[Path, int] = {}
    shown: Path | None = None
    is_first = True
    while True:
        status = source.status()  # before the logs are read: what was written until then is in them
        for log in source.logs():
            file = _open(log)
            if file is None:
                continue
            with file, writing_to(real_stdout().buffer, "standard output"):
                if is_first and tail is not None:
                    seek_last_lines(file, tail)
                else:
                    file.seek(places.get(log.path, 0))
                lines: Iterable[bytes] = _safe_lines(_Growing(file) if status == "RUNNING" else file)
                if pattern is not None:
                    lines = _fitting(lines, pattern)
                if _print_lines(log, lines, needs_line=True, is_continued=shown == log.path):
                    shown = log.path
                places[log.path] = file.tell()
        is_first = False
        if is_left(status):
            print_note(f"run {source.run_id} is {status}: the process that executed it has died")
        if status != "RUNNING":
            return
        time.sleep(POLL_SECONDS)


class _Growing:
    """A file to which a program writes: its last line is read when it is whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readline(self, size: int) -> bytes:
        """Return the next line, or piece of a long one; empty at the end, also before half a line."""
        piece = self._file.readline(size)
        if len(piece) == size or piece.endswith(b"\n"):
            return piece
        self._file.seek(-len(piece), os.SEEK_CUR)
        return b""


def _safe_lines(log: BinaryIO | _Growing) -> Iterator[bytes]:
    """Iterate over the lines, with colours on a terminal only, with control characters as escapes."""
    calm = coloured_line if shows_colours(real_stdout()) else one_line
    is_whole, decoder = True, getincrementaldecoder("utf-8")("replace")  # a piece may end within a character
    while piece := log.readline(PIECE_BYTES):
        if is_whole := piece.endswith(b"\n"):
            piece = piece.removesuffix(b"\n").removesuffix(b"\r")
        text = decoder.decode(piece, final=is_whole)
        yield calm(text).encode() + (b"\n" if is_whole else b"")
    if not is_whole:
        yield b"\n"
