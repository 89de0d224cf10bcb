"""The log of runs: one record per event, as lines for people or as JSON lines, through structlog."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal, TextIO

import anyio.to_thread

from aetherflow.events.run_events import Event, JobEvent, RunFinished
from aetherflow.observe.output import Output, json_line
from aetherflow.observe.record import SEVERITY, level_of, name_of, parse_level, record
from aetherflow.observe.summary import Digest, digested, render_summary
from aetherflow.observe.text import INDENT, one_line, render_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

NOTHING = Digest()

Format = Literal["text", "json"]


class LogObserver:
    """Writes a record per event to a stream; events below `level` are left out.

    Args:
        stream: where the log goes; it stays open.
        format: lines for people, or a JSON object per line.
        level: debug, info, warning or error, in any case.
        many_runs: lines about jobs and steps also name the run.
        zone: the zone of the times that people see; None is the machine's own. JSON is always UTC.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        format: Format,  # noqa: A002 - the word of the setting
        level: str,
        zone: tzinfo | None = None,
        many_runs: bool = False,
    ) -> None:
        self._output = Output(stream)
        self._format = format
        self._level = parse_level(level)
        self._zone = zone
        self._many_runs = many_runs
        self._digests: dict[str, Digest] = {}
        self._rendered = io.StringIO()
        self._logger: FilteringBoundLogger | None = None
        self._lock = threading.Lock()

    async def __call__(self, events: Sequence[Event]) -> None:
        """Write the records of a batch.

        Raises:
            OutputLostError: the stream takes no more.
        """
        # A reader that stalls must not keep a run from ending: its thread is left, the lock keeps the order.
        await anyio.to_thread.run_sync(self._write, events, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Do nothing: every batch was flushed when it was written."""

    def _write(self, events: Sequence[Event]) -> None:
        with self._lock:
            if batch := self._render(events):
                self._output.write(batch)

    def _render(self, events: Sequence[Event]) -> str:
        for event in events:
            digest = digested(self._digests.get(event.run_id, NOTHING), event)
            if digest is not NOTHING:
                self._digests[event.run_id] = digest
            if isinstance(event, RunFinished):
                self._digests.pop(event.run_id, None)
            if SEVERITY[level_of(event)] >= SEVERITY[self._level]:
                self._log(event, digest)
        batch = self._rendered.getvalue()
        self._rendered.seek(0)
        self._rendered.truncate()
        return batch

    def _log(self, event: Event, digest: Digest) -> None:
        """Render one event: a structured record through structlog, or a line for people without it.

        structlog imports rich and costs as much start-up as the engine; a line needs neither.
        """
        if self._format == "json":
            self._logger = self._logger or self._make_logger()
            self._logger.log(SEVERITY[level_of(event)], name_of(event), source=event)
            return
        text = self._text(event, digest)
        if text is not None:
            self._rendered.write(text + "\n")

    def _text(self, event: Event, digest: Digest) -> str | None:
        if isinstance(event, RunFinished):
            return render_summary(event, digest, zone=self._zone)
        text = render_text(event, zone=self._zone, detail=self._level == "debug")
        if text is not None and self._many_runs and isinstance(event, JobEvent):
            at = len(INDENT)
            text = f"{text[:at]}{one_line(event.run_id)}  {text[at:]}"
        return text

    def _make_logger(self) -> FilteringBoundLogger:
        import structlog  # noqa: PLC0415 - only for structured logs, see _log

        chain: list[Processor] = [
            _RecordOf(detail=self._level == "debug"),
            structlog.processors.JSONRenderer(serializer=_serialized),
        ]
        logger: FilteringBoundLogger = structlog.wrap_logger(
            structlog.WriteLogger(self._rendered),
            processors=chain,
            wrapper_class=structlog.make_filtering_bound_logger(SEVERITY[self._level]),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind()
        return logger


class _RecordOf:
    """A processor: the record of the event that is logged."""

    def __init__(self, *, detail: bool) -> None:
        self._detail = detail

    def __call__(self, _logger: Any, _method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return record(entry["source"], detail=self._detail)


def _serialized(entry: Any, **_options: Any) -> str:
    return json_line(entry).decode().rstrip("\n")
