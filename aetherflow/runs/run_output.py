"""Direct what plugin code writes outside of any step to its run: as notices, once the run has begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aetherflow import plugin_output
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Notice
from aetherflow.execution.bus import Bus
from aetherflow.plugin_output import MOST_HELD, Level, Line, LineTarget, Stream
from aetherflow.redaction import Redactor


class RunOutput:
    """The target of one run, see `plugin_output.Target`: a plugin's import, a metrics module, the last close.

    What is written before the run has begun waits for it; what is written after its end, or by a run that
    never begins, goes where output goes that has no target.
    """

    step = None

    def __init__(self) -> None:
        self._lines = LineTarget(self._take)
        self._waiting: list[Line] = []
        self._bus: Bus | None = None
        self._events: EventFactory
        self._redactor = Redactor()
        self._is_over = False

    def write(self, stream: Stream, text: str) -> None:
        """Take a piece of text."""
        self._lines.write(stream, text)

    def record(self, level: Level, text: str) -> None:
        """Take a log record."""
        self._lines.record(level, text)

    def begin(self, bus: Bus, events: EventFactory, redactor: Redactor) -> list[Notice]:
        """Announce lines from now on; return the notices of those that waited, masked."""
        self._bus, self._events, self._redactor = bus, events, redactor
        waiting, self._waiting = self._waiting, []
        return [self._notice(line) for line in waiting]

    def end(self) -> None:
        """Pass on what is left."""
        self._lines.flush()
        self._is_over = True
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._take(line)

    def _take(self, line: Line) -> None:
        if self._bus is not None and not self._bus.is_closed:
            try:
                self._bus.announce(self._notice(line))
            except RuntimeError:  # from a thread, when the event loop has ended
                self._is_over = True
            else:
                return
        elif self._bus is None and not self._is_over and len(self._waiting) < MOST_HELD:
            self._waiting.append(line)
            return
        plugin_output.print_outside(self._redactor.text(line.text))

    def _notice(self, line: Line) -> Notice:
        text = f"printed: {line.text}" if line.level == "info" else line.text
        return self._events.notice(line.level, self._redactor.text(text))


@contextmanager
def run_output() -> Iterator[RunOutput]:
    """Direct what plugin code writes in a block to one run; in the block of a run, to that one."""
    current = plugin_output.current_target()
    if isinstance(current, RunOutput):
        yield current
        return
    output = RunOutput()
    try:
        with plugin_output.directed_to(output):
            yield output
    finally:
        output.end()
