"""The attempts that this worker has: those that run, and those whose answer the engine has not read yet.

A start of an attempt runs in a thread of Dask's. What it sends goes, in batches, as events of the topic of
its engine; what the engine sends arrives by `take`, on the event loop of the worker.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never
from weakref import WeakKeyDictionary

from aetherflow import AttemptOnWorker, Place
from aetherflow_dask.watchdog import Watchdog
from aetherflow_dask.wire import (
    PIECE_BYTES,
    Acknowledge,
    Assembly,
    Attach,
    Deliver,
    Forget,
    Frame,
    Said,
    SendAgain,
    batch_of,
    encoded,
    frames_of,
    start_of,
)

if TYPE_CHECKING:
    from distributed import Worker

BEAT_SECONDS = 2.0
IDLE_SECONDS = 0.5
BEATS_MISSED = 5
"""So many beats at least fit into the time after which a worker is lost."""

SHARE_OF_LOST = 0.75
"""A worker ends its attempts after this share of that time, so that it is earlier than the engine."""

UNREAD_SECONDS = 3600.0
"""How long an answer that nobody has read is kept."""

UNHEARD_SECONDS = 60.0
"""How long an attempt asks whether it may begin, at least; the engine that wanted it may be gone."""

KEPT_BYTES = 64 << 20
"""How much of what an attempt has sent is kept until the engine has it; older frames are dropped."""

FLUSH_SECONDS = 0.002
STOP_SECONDS = 10.0

_tables: WeakKeyDictionary[Worker, AttemptsHere] = WeakKeyDictionary()
_making = threading.Lock()


class _Start:
    """One start of an attempt.

    Attributes:
        is_heard: whether the engine has said anything to it.
        is_unwanted: whether no engine wants its answer.
        ended: when its thread has ended; 0: it runs.
    """

    def __init__(self, table: AttemptsHere, key: str, topic: str, lost_after: float) -> None:
        self.id = os.urandom(8).hex()
        self.key, self.topic, self.lost_after = key, topic, lost_after
        self.begun, self.ended = time.monotonic(), 0.0
        self.is_heard = False
        self.is_unwanted = False
        self.last = 0
        self.kept: deque[Frame] = deque()
        self.kept_bytes = 0
        self.incoming = Assembly()
        self.attempt = AttemptOnWorker(key, table.place, self.send)
        self._table = table
        self._lock = threading.Lock()
        self._attaching: int | None = None
        self._held: list[bytes] = []

    @property
    def is_over(self) -> bool:
        """Whether nobody needs anything more of it."""
        return self.is_unwanted or self.attempt.is_over

    def send(self, message: bytes) -> None:
        """Send a message to the engine; from any thread."""
        with self._lock:
            if self._attaching not in (None, threading.get_ident()):
                self._held.append(message)
                return
            self._send(message)

    def _send(self, message: bytes) -> None:
        for frame in frames_of(self.key, self.id, self.last + 1, message):
            self.last = frame.number
            self.kept.append(frame)
            self.kept_bytes += len(frame.data)
            self._table.put(self.topic, frame)
        while self.kept_bytes > KEPT_BYTES and len(self.kept) > 1:
            self.kept_bytes -= len(self.kept.popleft().data)

    def acknowledge(self, number: int) -> None:
        """Forget the frames that the engine has."""
        with self._lock:
            while self.kept and self.kept[0].number <= number:
                self.kept_bytes -= len(self.kept.popleft().data)

    def send_again(self, number: int) -> None:
        """Send again the frames from this number on, as far as they are kept."""
        with self._lock:
            for frame in self.kept:
                if frame.number >= number:
                    self._table.put(self.topic, frame)

    def attach(self, topic: str, lost_after: float) -> None:
        """Belong to another engine from now on, which first gets what the attempt says about itself."""
        with self._lock:
            self.topic, self.lost_after, self._attaching = topic, lost_after, threading.get_ident()
            self.incoming = Assembly(0)
            self.kept.clear()
            self.kept_bytes = 0
        try:
            self.attempt.attach(self.send)
        finally:
            with self._lock:
                self._attaching = None
                held, self._held = self._held, []
                for message in held:
                    self._send(message)


class AttemptsHere:
    """The attempts of one worker.

    Attributes:
        place: this worker.
        lost_after: seconds of silence after which its attempts end, if their engine does not ask for less.
    """

    def __init__(self, worker: Worker) -> None:
        self.lost_after = float("inf")
        self.place = Place(str(worker.name), socket.gethostname(), os.getpid())
        self._worker = worker
        self._address = worker.address
        self._loop: asyncio.AbstractEventLoop = worker.loop.asyncio_loop  # type: ignore[attr-defined]
        self._starts: dict[str, _Start] = {}
        self._lock = threading.Lock()
        self._out: deque[tuple[str, Frame]] = deque()
        self._is_flush_due = False
        self._flushed = 0.0
        self._watchdog = Watchdog()
        self._answered = time.monotonic()
        self._beats: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[str | None] | None = None
        self._loop.call_soon_threadsafe(self._begin_to_beat)

    def ends_with_input(self) -> None:
        """Let this process end with its standard input also if it stands still then."""
        self._watchdog.ends_with_input()

    def run(self, key: str, topic: str, lost_after: float) -> None:
        """Run an attempt in this thread."""
        start = _Start(self, key, topic, lost_after)
        with self._lock:
            self._starts[start.id] = start
        self._loop.call_soon_threadsafe(self._watchdog.beat, lost_after * SHARE_OF_LOST)
        try:
            start.attempt.run()
        finally:
            start.ended = time.monotonic()
            if start.is_over:
                self._forget(start)

    def begun(self) -> dict[str, str]:
        """Return the starts that an engine has let begin, by the keys of their attempts."""
        return {start.key: start.id for start in self._all() if start.is_heard and not start.is_over}

    def take(self, batch: bytes) -> list[str]:
        """Take what an engine sends; return the starts that are not here."""
        unknown: list[str] = []
        for message in batch_of(batch):
            start = self._starts.get(name := start_of(message))
            if start is None:
                unknown.append(name)
                continue
            match message:
                case Deliver(frame):
                    self._deliver(start, frame)
                case Acknowledge(number=number):
                    start.acknowledge(number)
                case SendAgain(number=number):
                    start.send_again(number)
                case Attach(topic=topic, lost_after=lost_after):
                    start.attach(topic, lost_after)
                case Forget(why=why):
                    self._give_up(start, why)
                case _:
                    assert_never(message)
        return unknown

    def put(self, topic: str, frame: Frame) -> None:
        """Send a frame soon, together with others; from any thread."""
        self._out.append((topic, frame))
        if not self._is_flush_due:
            self._is_flush_due = True
            with suppress(RuntimeError):  # the worker has ended
                self._loop.call_soon_threadsafe(self._flush_soon)

    async def stop(self, why: str) -> None:
        """Stop all attempts, wait for their ends, and beat no more."""
        for start in self._all():
            start.attempt.stop(why)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(not start.ended for start in self._all()):
            self._watchdog.beat(STOP_SECONDS)
            await asyncio.sleep(0.02)
        self._flush()
        if self._beats is not None:
            self._beats.cancel()
        self._watchdog.end()

    def _deliver(self, start: _Start, frame: Frame) -> None:
        start.is_heard = True
        try:
            message = start.incoming.add(frame)
        except LookupError:
            self._give_up(start, "messages of the engine are missing")
            return
        if message is not None:
            start.attempt.receive(message)
            if start.is_over and start.ended:
                self._forget(start)

    def _give_up(self, start: _Start, why: str) -> None:
        start.is_unwanted = True
        start.attempt.stop(why)
        if start.ended:
            self._forget(start)

    def _all(self) -> list[_Start]:
        with self._lock:
            return list(self._starts.values())

    def _forget(self, start: _Start) -> None:
        with self._lock:
            self._starts.pop(start.id, None)

    def _flush_soon(self) -> None:
        wait = self._flushed + FLUSH_SECONDS - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._is_flush_due = False
        self._flushed = self._loop.time()
        batches: dict[str, list[Frame]] = {}
        size = 0
        while self._out:
            topic, frame = self._out.popleft()
            batches.setdefault(topic, []).append(frame)
            size += len(frame.data)
            if size > PIECE_BYTES:
                self._say(batches)
                batches, size = {}, 0
        self._say(batches)

    def _say(self, batches: dict[str, list[Frame]]) -> None:
        for topic, frames in batches.items():
            self._worker.log_event(topic, encoded(Said(self._address, frames)))

    def _begin_to_beat(self) -> None:
        self._beats = self._loop.create_task(self._beat())

    async def _beat(self) -> None:
        """Say regularly to each engine what is here, and to the watchdog that this loop lives."""
        while True:
            starts = self._all()
            lost_after = min((start.lost_after for start in starts), default=0.0)
            lost_after = min(lost_after, self.lost_after)
            pause = min(BEAT_SECONDS, lost_after / BEATS_MISSED) if starts else IDLE_SECONDS
            if starts:
                self._watchdog.beat(lost_after * SHARE_OF_LOST)
                self._tidy(starts)
                self._flush()
                for topic in {start.topic for start in starts}:
                    here = {start.id: start.last for start in self._all() if start.topic == topic}
                    self._worker.log_event(topic, encoded(Said(self._address, [], True, here)))
                await self._look_at_scheduler(pause, lost_after * SHARE_OF_LOST)
            else:
                self._watchdog.rest()
                self._answered = time.monotonic()
            await asyncio.sleep(pause)

    async def _look_at_scheduler(self, seconds: float, limit: float) -> None:
        """Ask the scheduler for an answer; end everything here if it has given none for too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._worker.scheduler.echo(data=0)
            self._answered = time.monotonic()
        except (OSError, TimeoutError):
            if time.monotonic() - self._answered > limit:
                await self.stop("the scheduler cannot be reached")
                self._closing = self._loop.create_task(self._worker.close(reason="scheduler lost"))

    def _tidy(self, starts: Iterable[_Start]) -> None:
        now = time.monotonic()
        for start in starts:
            if start.ended and (start.is_over or now - start.ended > UNREAD_SECONDS):
                self._forget(start)
            elif not start.is_heard and now - start.begun > max(UNHEARD_SECONDS, 2 * start.lost_after):
                self._give_up(start, "no engine has answered")


def attempts_of(worker: Worker) -> AttemptsHere:
    """Return the attempts of a worker of this process."""
    with _making:
        table = _tables.get(worker)
        if table is None:
            table = _tables[worker] = AttemptsHere(worker)
        return table
