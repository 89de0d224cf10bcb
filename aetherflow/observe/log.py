"""The log of a run: one record per event, as lines for people or as JSON lines, through structlog."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping, Sequence
from datetime import UTC, tzinfo
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from aetherflow.events.run_events import Event, JobEvent, RunFinished, StepOutput
from aetherflow.observe.colours import coloured_line
from aetherflow.observe.event_level import SEVERITY, level_of, parse_level
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_text import one_line, render_text
from aetherflow.observe.line_writer import LineWriter
from aetherflow.observe.run_failures import Digest, digested, log_file
from aetherflow.observe.run_summary import render_summary
from aetherflow.observe.shared_lines import SharedLines
from aetherflow.observe.sink import Sink

if TYPE_CHECKING:
    from aetherflow.observe.time_order import TimeOrder

Format = Literal["text", "json", "cloudevents"]

LINE_CHARACTERS = 4000
SCREEN_CHARACTERS = 400
"""How much of a line of a program is shown in a log and on a screen; the log file of the step has all."""


class _Logger(Protocol):
    def record(self, events: Sequence[Event]) -> None: ...


class LogObserver:
    """Writes a record for each event of a run to a stream, and a summary at its end.

    Args:
        stream: the stream of the log, which is not closed.
        sink: of the stream, where several runs write to it; else the observer has its own.
        order: in which many runs write to the stream, where they are to be in the order of their times.
        format: lines for people, or a JSON object per line: a record, or a CloudEvent with a record in it.
        level: debug, info, warning or error, in any case; events below it are left out.
        many_runs: the log of a server. Its times are in UTC as those of firings are; lines about jobs and
            steps also show the run id.
        dated: the times that people see have date and offset, as those of a server always have.
        zone: the zone of the times that people see; None is the machine's own. JSON is always UTC.
        shared: with the event stream, where that has the same lines.
        colours: the lines of programs keep their colours.
        line_characters: how much of a line of a program people see.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        sink: Sink | None = None,
        order: TimeOrder | None = None,
        format: Format,  # noqa: A002 - the word of the setting
        level: str,
        zone: tzinfo | None = None,
        many_runs: bool = False,
        dated: bool = False,
        shared: SharedLines | None = None,
        colours: bool = False,
        line_characters: int = LINE_CHARACTERS,
    ) -> None:
        self._writer = LineWriter(stream)
        self._sink = sink or Sink()
        self._order = order
        self._level = parse_level(level)
        self._least = SEVERITY[self._level]
        self._zone = UTC if many_runs else zone
        self._many_runs = many_runs
        self._dated = dated or many_runs
        self._colours = colours
        self._line_characters = line_characters
        self._digest = Digest()
        self._rendered: list[bytes] = []
        self._recorder = Recorder("cloudevents" if format == "cloudevents" else "json", shared)
        self._logger = None if format == "text" else self._make_logger()

    async def __call__(self, events: Sequence[Event]) -> None:
        """Write the records of a batch.

        Raises:
            OutputLostError: the stream cannot be written.
        """
        if self._order is not None:
            await self._order.add(self._write, events)
        else:
            await self._sink.call(self._write, events)

    async def aclose(self) -> None:
        """Do nothing: every batch is flushed when it is written."""

    def _write(self, events: Sequence[Event]) -> None:
        if batch := self._render(events):
            self._writer.write(batch)

    def _render(self, events: Sequence[Event]) -> str:
        if self._logger is None:
            return "".join(map(self._lines, events))
        self._logger.record(events)
        batch = b"".join(self._rendered).decode()
        self._rendered.clear()
        return batch

    def _lines(self, event: Event) -> str:
        self._digest = digested(self._digest, event)
        if SEVERITY[level_of(event)] < self._least or (text := self._text(event)) is None:
            return ""
        return f"{text}\n"

    def _text(self, event: Event) -> str | None:
        if isinstance(event, RunFinished):
            return render_summary(event, self._digest, zone=self._zone, dated=self._dated)
        return render_text(
            event,
            zone=self._zone,
            detail=self._level == "debug",
            dated=self._dated,
            before=f"{one_line(event.run_id)}  " if self._many_runs and isinstance(event, JobEvent) else "",
            output=self._output,
        )

    def _output(self, event: StepOutput) -> str:
        """Return what a program wrote, with its colours if they are wanted; a long line is cut."""
        text, most = event.text.rstrip(), self._line_characters
        shown = coloured_line(text, most) if self._colours else one_line(text)[:most]
        if len(text) <= most and not event.more_bytes:
            return shown
        more = len(text[most:].encode("utf-8", "surrogatepass")) + event.more_bytes
        whole = f", whole in {log_file(self._digest.logs, event)}" if self._digest.logs else ""
        return f"{shown} ... ({more} more bytes{one_line(whole)})"

    def _make_logger(self) -> _Logger:
        """Return a logger of structlog with one processor, which adds the lines of a batch to a list."""
        structlog = _structlog()

        class Logger(structlog.BoundLoggerBase):  # type: ignore[misc, name-defined]  # imported only when needed
            def record(self, events: Sequence[Event]) -> None:
                self._proxy_to_logger("append", source=events)

        logger: _Logger = Logger(self._rendered, [self._lines_of], {})
        return logger

    def _lines_of(self, _logger: Any, _method: str, entry: MutableMapping[str, Any]) -> bytes:
        """Return the lines of the events that are logged: the one processor."""
        lines = []
        for event in entry["source"]:
            if SEVERITY[level_of(event)] >= self._least:
                lines.append(self._recorder.line(event))
            else:
                self._recorder.skip(event)
        return b"".join(lines)


def _structlog() -> ModuleType:
    """Import structlog without rich and pygments, which only its colours need and which cost 80 ms.

    Call it before steps run: a module that another thread imports meanwhile would not find rich either.
    """
    if (loaded := sys.modules.get("structlog")) is not None:
        return loaded
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]  # None: an import of it raises ImportError
    try:
        import structlog  # noqa: PLC0415 - only for structured logs
    finally:
        if hidden:
            del sys.modules["rich"]
    return structlog
