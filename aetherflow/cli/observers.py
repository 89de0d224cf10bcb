"""Choose the observers of a run or a server: log lines, JSON lines, a live tree, an event stream."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from aetherflow.cli.printing import print_note
from aetherflow.config.settings import Settings
from aetherflow.errors import UsageError
from aetherflow.plugin_output import real_stderr, real_stdout, show_everything
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.written_path import setting_path

if TYPE_CHECKING:
    from aetherflow.observe.sink import Sink
    from aetherflow.observe.time_order import TimeOrder


class ShowOptions(msgspec.Struct, frozen=True):
    """The options that say how a run or a server is shown.

    Attributes:
        events: the file that gets every event as a JSON line, or `-` for standard output.
        log_format: text or json; empty: what the settings say.
        debug: also show debug records.
        report: standard output is for the report of `--json`, whatever format the settings say.

    Raises:
        UsageError: there is no such format, or standard output would get more than the report.
    """

    events: str = ""
    log_format: str = ""
    debug: bool = False
    report: bool = False

    def __post_init__(self) -> None:
        if self.log_format not in ("", "text", "json"):
            raise UsageError(f"--log-format {self.log_format}: it is text or json")
        if self.report and (self.log_format == "json" or self.events == "-"):
            other = "--events -" if self.events == "-" else "--log-format json"
            raise UsageError(
                f"--json and {other} would both write to standard output", hint="leave one of them out"
            )

    def is_json(self, settings: Settings) -> bool:
        """Whether the log is JSON lines on standard output."""
        return not self.report and (self.log_format or settings.log_format) == "json"


async def chosen_observers(
    show: ShowOptions, settings: Settings, *, many_runs: bool = False, in_order: bool = False
) -> list[ObserverSpec]:
    """Return the observers that the options and settings ask for; a server writes `in_order` of time.

    Raises:
        UsageError: two of them would write to standard output, or a file cannot be opened.
    """
    if show.events == "-" and show.is_json(settings):
        raise UsageError(
            "--events - and the JSON log would both write to standard output", hint="give --events a file"
        )
    chosen = [_log(show, settings, many_runs=many_runs, in_order=in_order)]
    if show.events:
        from aetherflow.observe.event_stream import EventStreamObserver  # noqa: PLC0415 - rarely used

        sink, order = _sink(in_order=in_order)
        stream = EventStreamObserver(
            "-" if show.events == "-" else setting_path(show.events),
            access=settings.file_access,
            sink=sink,
            order=order,
        )
        await stream.open()
        chosen.append(ObserverSpec("events", stream.join, "wait", stream.reopen, order))
    return chosen


def print_lost_output(detached: Mapping[str, str]) -> None:
    """Print which observers did not show everything, and why."""
    for name, why in detached.items():
        print_note(f"warning: the {name} did not show the whole run: {why}")


def _log(show: ShowOptions, settings: Settings, *, many_runs: bool, in_order: bool) -> ObserverSpec:
    """Return the log, as text or JSON; for one run on a terminal, a live tree."""
    stderr = real_stderr()
    level = "debug" if show.debug else settings.log_level.lower()
    if level == "debug":
        show_everything()
    level = "error" if level == "critical" else level  # no event is graver than an error
    if not many_runs and not show.is_json(settings) and stderr.isatty():
        from aetherflow.observe.live_tree import LiveTreeObserver, can_repaint  # noqa: PLC0415 - for terminals

        if can_repaint(stderr):
            return ObserverSpec("progress", partial(LiveTreeObserver, stderr), "drop")
    from aetherflow.observe.log import LogObserver  # noqa: PLC0415 - not for terminals

    sink, order = _sink(in_order=in_order)
    log = partial(LogObserver, sink=sink, order=order, level=level)
    if show.is_json(settings):
        log = partial(log, real_stdout(), format="json")
    else:
        log = partial(log, stderr, format="text", many_runs=many_runs)
    return ObserverSpec("log", log, "wait", order=order)


def _sink(*, in_order: bool) -> tuple[Sink, TimeOrder | None]:
    from aetherflow.observe.sink import Sink  # noqa: PLC0415 - not for terminals
    from aetherflow.observe.time_order import TimeOrder  # noqa: PLC0415 - as above

    sink = Sink()
    return sink, TimeOrder(sink) if in_order else None
