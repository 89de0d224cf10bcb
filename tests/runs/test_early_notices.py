"""What is said before a run has begun is shown once: at once if that is slow or fails, else with the run."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import ExecutorError
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Event, Notice
from aetherflow.runs import early_notices
from aetherflow.runs.early_notices import EarlyNotices
from aetherflow.runs.ports import ObserverSpec

pytestmark = pytest.mark.asyncio


class Log:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: list[tuple[int, int]] = []
        self.has_some = anyio.Event()

    async def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, Notice)
            self.texts.append(event.message)
            self.numbers.append((event.seq, event.sub_seq))
        self.has_some.set()

    async def aclose(self) -> None:
        """Do nothing."""


class Gone(Log):
    """An observer whose stream is gone."""

    async def __call__(self, events: Sequence[Event]) -> None:
        await super().__call__(events)
        raise BrokenPipeError("nobody reads")


def notices(*logs: Log) -> EarlyNotices:
    specs = [ObserverSpec("log", Log, early=lambda log=log: log) for log in logs]  # type: ignore[misc]
    later = ObserverSpec("events", Log)
    return EarlyNotices([*specs, later], EventFactory(SystemClock(), "f", "r"))


async def fails(early: EarlyNotices, text: str) -> None:
    """Fail after a notice."""
    async with early.shown_if_slow():
        early.add("warning", text)
        raise ExecutorError("no answer")


@pytest.fixture
def is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_notices, "QUIET_SECONDS", 0.0)


async def test_what_is_said_quickly_waits_for_the_run() -> None:
    log = Log()
    early = notices(log)
    async with early.shown_if_slow():
        early.add("info", "one")
    early.add("info", "two")

    assert log.texts == []
    assert [notice.message for notice in early.take()] == ["one", "two"]
    assert early.take() == []


@pytest.mark.usefixtures("is_slow")
async def test_what_is_said_in_a_slow_block_is_shown_along_and_not_again() -> None:
    log = Log()
    early = notices(log)
    async with early.shown_if_slow():
        for text in ("one", "two"):
            log.has_some = anyio.Event()
            early.add("info", text)
            await log.has_some.wait()

    assert log.texts == ["one", "two"]
    assert log.numbers == [(0, 1), (0, 2)]
    assert early.take() == []


async def test_what_was_said_in_a_block_that_fails_is_shown() -> None:
    log = Log()
    early = notices(log)
    with pytest.raises(ExecutorError, match="no answer"):
        await fails(early, "worker-1 has ended")

    assert log.texts == ["worker-1 has ended"]


@pytest.mark.usefixtures("is_slow")
async def test_an_observer_whose_stream_is_gone_is_asked_no_more_and_harms_nobody() -> None:
    gone, log = Gone(), Log()
    early = notices(gone, log)
    async with early.shown_if_slow():
        for text in ("one", "two"):
            log.has_some = anyio.Event()
            early.add("info", text)
            await log.has_some.wait()

    assert (gone.texts, log.texts) == (["one"], ["one", "two"])


async def test_without_an_observer_that_shows_them_they_wait_for_the_run() -> None:
    early = notices()
    with pytest.raises(ExecutorError, match="no answer"):
        await fails(early, "one")

    assert [notice.message for notice in early.take()] == ["one"]
