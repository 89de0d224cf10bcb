"""Choose the observers of a run or a server: log lines, JSON lines, a live tree, an event stream."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO

import msgspec

from aetherflow.cli.printing import print_note
from aetherflow.config.settings import Settings
from aetherflow.errors import UsageError
from aetherflow.plugin_output import real_stderr, real_stdout, show_everything
from aetherflow.ports import Observer, UsualTimes
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.stop_signals import note_stalled_reader
from aetherflow.written_path import setting_path

if TYPE_CHECKING:
    from aetherflow.observe.shared_lines import SharedLines
    from aetherflow.observe.sink import Sink
    from aetherflow.observe.time_order import TimeOrder


NOTE_SECONDS = 1.0
"""How long the note about lost output may wait for its reader."""


class ShowOptions(msgspec.Struct, frozen=True):
    """The options that say how a run or a server is shown.

    Attributes:
        events: the file that gets every event as a JSON line, `-` for standard output, or `fd:N`.
        log_format: text, json or cloudevents; empty: what the settings say.
        debug: also show debug records.
        metrics_file: the file to which runs add their metrics; empty: what the settings say.
        report: standard output is for the report of `--json`, whatever format the settings say.
        plain: lines without colours, also on a terminal.

    Raises:
        UsageError: there is no such format, or standard output would get more than the report.
    """

    events: str = ""
    log_format: str = ""
    debug: bool = False
    report: bool = False
    metrics_file: str = ""
    plain: bool = False

    def __post_init__(self) -> None:
        if self.log_format not in ("", "text", "json", "cloudevents"):
            raise UsageError(f"--log-format {self.log_format}: it is text, json or cloudevents")
        if self.report and (self.log_format not in ("", "text") or self.is_events_on_stdout):
            log = f"--log-format {self.log_format}"
            other = f"--events {self.events}" if self.is_events_on_stdout else log
            raise UsageError(
                f"--json and {other} would both write to standard output", hint="leave one of them out"
            )

    @property
    def is_events_on_stdout(self) -> bool:
        """Whether the events go to standard output."""
        return self.events in ("-", "fd:1")

    def format(self, settings: Settings) -> str:
        """Return the format of the log: text, json or cloudevents."""
        return "text" if self.report else self.log_format or settings.log_format

    def is_json(self, settings: Settings) -> bool:
        """Whether the log is JSON lines, of one or the other kind, on standard output."""
        return self.format(settings) != "text"


async def chosen_observers(
    show: ShowOptions, settings: Settings, *, many_runs: bool = False, in_order: bool = False
) -> list[ObserverSpec]:
    """Return the observers that the options and settings ask for; a server writes `in_order` of time.

    Raises:
        UsageError: two of them would write to standard output, or a file cannot be opened.
    """
    if show.is_events_on_stdout and show.is_json(settings):
        raise UsageError(
            f"--events {show.events} and the JSON log would both write to standard output",
            hint="give --events a file",
        )
    shared = None
    if show.events and show.is_json(settings):
        from aetherflow.observe.shared_lines import SharedLines  # noqa: PLC0415 - rarely used

        shared = SharedLines()
    chosen = [_log(show, settings, many_runs=many_runs, in_order=in_order, shared=shared)]
    if show.events:
        from aetherflow.observe.event_stream import EventStreamObserver  # noqa: PLC0415 - rarely used

        sink, order = _sink(in_order=in_order)
        stream = EventStreamObserver(
            _target(show.events),
            access=settings.file_access,
            format="cloudevents" if show.format(settings) == "cloudevents" else "json",
            sink=sink,
            order=order,
            name=show.events,
            shared=shared,
        )
        await stream.open()
        chosen.append(ObserverSpec("events", stream.join, stream.when_full, stream.reopen, order))
    return chosen


def _target(events: str) -> BinaryIO | Path | Literal["-"]:
    """Return where `--events` goes.

    Raises:
        UsageError: there is no such descriptor, or it cannot be written.
    """
    if events in ("-", "fd:1"):
        return "-"
    if not events.startswith("fd:"):
        return setting_path(events)
    from aetherflow.observe.event_stream import open_descriptor  # noqa: PLC0415 - rarely used

    return open_descriptor(events.removeprefix("fd:"))


def print_lost_output(detached: Mapping[str, str], events: str = "") -> None:
    """Print which observers did not pass on everything, and why; the process does not wait for them.

    The command `events` prints what was lost.

    In a thread: standard error may be what nobody reads, and a writer waits for the lock of its stream.
    """
    if not detached:
        return
    from aetherflow.observe.event_text import safe_lines  # noqa: PLC0415 - rarely used

    note_stalled_reader()
    notes = [
        safe_lines(f"warning: the output of the observer {name} is incomplete: {why}", before="  ")
        for name, why in detached.items()
    ]
    if events and not detached.keys().isdisjoint(("events", "log")):
        notes.append(f"    hint: {events} prints all that are stored")
    printing = threading.Thread(target=print_note, args=("\n".join(notes),), daemon=True)
    printing.start()
    printing.join(NOTE_SECONDS)


def _log(
    show: ShowOptions, settings: Settings, *, many_runs: bool, in_order: bool, shared: SharedLines | None
) -> ObserverSpec:
    """Return the log, as text or JSON; for one run on a terminal, a live tree."""
    stderr = real_stderr()
    level = "debug" if show.debug else settings.log_level.lower()
    if level == "debug":
        show_everything()
    level = "error" if level == "critical" else level  # no event is graver than an error
    if not many_runs and not show.is_json(settings) and not show.plain and stderr.isatty():
        from aetherflow.observe.live_tree import LiveTreeObserver, can_repaint  # noqa: PLC0415 - for terminals

        if can_repaint(stderr):
            tree = partial(LiveTreeObserver, stderr, level=level, look_up=_usual_times)
            return ObserverSpec("progress", tree, "drop", early=partial(_plain_log, stderr, level))
    from aetherflow.observe.colours import shows_colours  # noqa: PLC0415 - not for the tree
    from aetherflow.observe.line_writer import when_full  # noqa: PLC0415 - as above
    from aetherflow.observe.log import (  # noqa: PLC0415 - as above
        LINE_CHARACTERS,
        SCREEN_CHARACTERS,
        LogObserver,
    )

    sink, order = _sink(in_order=in_order)
    log = partial(LogObserver, sink=sink, order=order, level=level)
    if show.is_json(settings):
        stream = real_stdout()
        log = partial(log, stream, format=show.format(settings), shared=shared)
    else:
        stream = stderr
        is_screen = stream.isatty()
        log = partial(
            log,
            stream,
            format="text",
            many_runs=many_runs,
            dated=not is_screen,
            colours=not show.plain and shows_colours(stream),
            line_characters=SCREEN_CHARACTERS if is_screen else LINE_CHARACTERS,
        )
    early = partial(log, shared=None)  # the other channel gets nothing before the run has begun
    return ObserverSpec("log", log, when_full(stream), order=order, early=early)


def _plain_log(stream: TextIO, level: str) -> Observer:
    """Make what shows lines where a live tree follows."""
    from aetherflow.observe.log import LogObserver  # noqa: PLC0415 - rarely used

    return LogObserver(stream, format="text", level=level)


def _usual_times(state: str, flow_id: str, selected_job: str) -> UsualTimes:
    """Return how long earlier runs took; nothing if the database cannot be read now: it is no error here."""
    from aetherflow.store.usual_times import usual_times  # noqa: PLC0415 - for terminals

    try:
        return usual_times(Path(state), flow_id, selected_job)
    except (OSError, sqlite3.Error):  # the run itself reports a database that it cannot use
        return UsualTimes()


def _sink(*, in_order: bool) -> tuple[Sink, TimeOrder | None]:
    from aetherflow.observe.sink import Sink  # noqa: PLC0415 - not for terminals
    from aetherflow.observe.time_order import TimeOrder  # noqa: PLC0415 - as above

    sink = Sink()
    return sink, TimeOrder(sink) if in_order else None
