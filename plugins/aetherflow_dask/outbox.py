"""What the engine sends to workers: in batches, one after the other, each until its worker has taken it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

import anyio
import anyio.abc

from aetherflow_dask import on_worker
from aetherflow_dask.client import EngineClient
from aetherflow_dask.wire import PIECE_BYTES, Deliver, ToWorker, encoded, start_of

PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class _Box:
    """What is to be sent to one worker.

    Attributes:
        sending: what was taken out and not confirmed.
    """

    def __init__(self) -> None:
        self.messages: deque[ToWorker] = deque()
        self.sending: list[ToWorker] = []
        self.ready = anyio.Event()
        self.empty = anyio.Event()
        self.scope = anyio.CancelScope()

    def batch(self) -> list[ToWorker]:
        """Take out what is to be sent at once."""
        batch, size = self.sending, 0
        while self.messages and size < PIECE_BYTES:
            message = self.messages.popleft()
            batch.append(message)
            size += len(message.frame.data) if isinstance(message, Deliver) else 0
        if not self.messages:
            self.ready = anyio.Event()
        return batch


class Outbox:
    """Sends messages to workers, by a task for each that has any.

    Attributes:
        client: the connection to the scheduler; None: there is none now.
    """

    def __init__(self, tasks: anyio.abc.TaskGroup, on_unknown: Callable[[str], None]) -> None:
        """Take the group of its tasks, and what is called with a start that its worker does not know."""
        self.client: EngineClient | None = None
        self._tasks, self._on_unknown = tasks, on_unknown
        self._boxes: dict[str, _Box] = {}

    @property
    def workers(self) -> Collection[str]:
        """The workers that got something, and are not dropped."""
        return self._boxes.keys()

    def put(self, worker: str, message: ToWorker) -> None:
        """Send a message soon, if the worker is not gone; returns at once."""
        if not worker:
            return
        box = self._boxes.get(worker)
        if box is None:
            box = self._boxes[worker] = _Box()
            self._tasks.start_soon(self._send_to, worker, box)
        box.messages.append(message)
        box.ready.set()

    def drop(self, worker: str) -> None:
        """Send nothing more of what waits for a worker: it is lost."""
        if (box := self._boxes.pop(worker, None)) is not None:
            box.scope.cancel()
            box.messages.clear()
            box.sending.clear()
            box.empty.set()  # `drain` looks again, and finds nothing

    async def drain(self) -> None:
        """Return when all has been sent or dropped: without a limit, so give it one."""
        for box in list(self._boxes.values()):
            while box.messages or box.sending:
                box.empty = anyio.Event()
                await box.empty.wait()

    async def _send_to(self, worker: str, box: _Box) -> None:
        pause = PAUSE_SECONDS
        with box.scope:
            while True:
                await box.ready.wait()
                batch = box.batch()
                while True:
                    unknown = await self._sent(worker, batch)
                    if unknown is not None:
                        break
                    await anyio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                pause = PAUSE_SECONDS
                batch.clear()
                for start in unknown:
                    self._on_unknown(start)
                box.empty.set()

    async def _sent(self, worker: str, batch: Sequence[ToWorker]) -> list[str] | None:
        """Send a batch; return the starts that are not there, or None if it must be sent again.

        A connection that failed is not decided about here: that may pass, and a worker that cannot be reached
        falls silent. A worker that fails at taking the batch would always fail: its starts do not get on.
        """
        if self.client is None:
            return None
        try:
            answers = await self.client.run(
                on_worker.take, encoded(batch), workers=[worker], on_error="return"
            )
        except (OSError, TimeoutError, RuntimeError):  # RuntimeError: the client has been closed meanwhile
            return None
        match answers.get(worker):
            case None | OSError() | TimeoutError():
                return None
            case Exception():
                return list(dict.fromkeys(map(start_of, batch)))
            case unknown:
                return list(unknown)
