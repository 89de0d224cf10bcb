"""Give the records of a run to an observer of an installed package: `aetherflow.EventObserver`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aetherflow.errors import AetherFlowError
from aetherflow.events.run_events import Event, StepOutput
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.sink import shared_sink
from aetherflow.sdk.observer import EventObserver, ObservedRun

CLOSE_SECONDS = 3.0
"""How long an observer may take to pass on what is left; the bus waits a little longer for it."""


class IncompleteRecords(AetherFlowError):
    """An observer could not pass on all records of a run."""

    default_code = "AF810"


class InstalledObserver:
    """Makes an observer at the first events, in its thread, and gives it records.

    Args:
        make: makes the observer of a run; all that it makes share one thread.
        run: the run.
    """

    def __init__(self, make: Callable[[ObservedRun], EventObserver], run: ObservedRun) -> None:
        self._make = make
        self._run = run
        self._observer: EventObserver | None = None
        self._recorder = Recorder()
        self._sink = shared_sink(make)
        self._said: str | None = None

    async def __call__(self, events: Sequence[Event]) -> str | None:
        """Give the observer a batch of events; an exception detaches it."""
        self._said = None
        await self._sink.call(self._take, events)
        return self._said

    async def aclose(self) -> None:
        """Let the observer finish.

        Raises:
            IncompleteRecords: it could not pass on everything.
        """
        self._said = None
        await self._sink.call(self._close)
        if self._said:
            raise IncompleteRecords(self._said)

    def _take(self, events: Sequence[Event]) -> None:
        if self._observer is None:
            self._observer = self._make(self._run)
        takes_output = getattr(self._observer, "takes_output", False)
        records = [
            self._recorder.record(event)
            for event in events
            if takes_output or not isinstance(event, StepOutput)
        ]
        if records:
            self._said = _text(self._observer.take(records), "take")

    def _close(self) -> None:
        if self._observer is not None:
            self._said = _text(self._observer.close(CLOSE_SECONDS), "close")


def _text(said: object, method: str) -> str | None:
    """Return what a method of an observer returned.

    Raises:
        TypeError: it is no text.
    """
    if said is None or isinstance(said, str):
        return said
    raise TypeError(f"its method {method} returned {type(said).__name__}, where a text or None is expected")
