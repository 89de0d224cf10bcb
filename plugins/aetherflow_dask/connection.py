"""The attempts of this engine on a cluster of Dask: given to workers, heard, answered, and seen lost.

All of it runs on the event loop of the engine. One topic of Dask brings what all workers say; one task for
each worker sends it, in batches, what the engine says.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import msgspec
from distributed import Future, fire_and_forget
from distributed.scheduler import KilledWorker, NoValidWorkerError

from aetherflow import (
    AttemptLost,
    CheckResult,
    ExecutorAttempt,
    Needs,
    Shipping,
    StepError,
    WorkerFacts,
)
from aetherflow_dask import on_worker
from aetherflow_dask.client import EngineClient
from aetherflow_dask.options import DaskOptions
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
    ToWorker,
    encoded,
    frames_of,
    said_of,
)

PROGRAMS_END_SECONDS = 3.0
"""How long the guardian of a worker that has died may take to end its programs."""

KEY = "aetherflow "
MOST_LATE = 1000
"""So many attempts that were given up are remembered, to tell what of them comes late."""

STARTS_AT_MOST = 10
"""How often an attempt is given to a worker that dies before the attempt has begun."""


class _Start:
    """A start of an attempt on a worker.

    Attributes:
        worker: the address of the worker.
        acknowledged: the number of the frame up to which the worker knows that they have come.
        missing: how many beats one after the other did not name it.
    """

    def __init__(self, start: str, worker: str, *, is_attached: bool) -> None:
        self.id, self.worker = start, worker
        self.incoming = Assembly(0 if is_attached else 1)
        self.acknowledged = 0
        self.sent = 0
        self.missing = 0
        self.asked_again = 0


class _Link:
    """An attempt, and what is known of it.

    Attributes:
        starts: its starts that have asked whether they may begin, by their ids; the first one counts.
        future: its task in Dask; None: it is not submitted, or was found on a worker.
        attached: the address of the worker on which it was found.
        failure: why it is given up.
    """

    def __init__(self, attempt: ExecutorAttempt) -> None:
        self.attempt = attempt
        self.starts: dict[str, _Start] = {}
        self.scope = anyio.CancelScope()
        self.future: Future[None] | None = None
        self.attached = ""
        self.failure: StepError | None = None
        self.is_done = False
        self.times = 0

    @property
    def worker(self) -> str:
        """The address of the worker on which the attempt has begun; empty: it has not."""
        return next(iter(self.starts.values())).worker if self.starts else self.attached

    def give_up(self, failure: StepError) -> None:
        """End the wait for the attempt."""
        if self.failure is None:
            self.failure = failure
            self.scope.cancel()


class _Box:
    """What is to be sent to one worker."""

    def __init__(self) -> None:
        self.messages: deque[ToWorker] = deque()
        self.ready = anyio.Event()
        self.scope = anyio.CancelScope()


class Connection:
    """The `OpenExecutor` of Dask.

    Attributes:
        topic: the topic of what the workers say to this engine.
        has_workers: set when there was a worker.
    """

    def __init__(
        self, options: DaskOptions, tasks: anyio.abc.TaskGroup, log: Callable[[str, str], None]
    ) -> None:
        self.topic = f"aetherflow-{uuid.uuid4().hex}"
        self._options, self._tasks, self._log = options, tasks, log
        self._client: EngineClient | None = None
        self._links: dict[str, _Link] = {}
        self._late: dict[str, ExecutorAttempt] = {}
        self._late_starts: dict[str, None] = {}
        self._found: dict[str, str] = {}
        self._boxes: dict[str, _Box] = {}
        self._silence: dict[str, float] = {}
        self._gone: dict[str, tuple[float, str]] = {}
        self._names: dict[str, str] = {}
        self._to_submit: list[_Link] = []
        self._submitted: dict[str, _Link] = {}
        self._threads = 0
        self.has_workers = anyio.Event()
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._unreachable = 0.0

    # -- the protocol ------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many attempts the workers run at once; see `OpenExecutor.slots`."""
        return self._threads

    @property
    def ships(self) -> Shipping | None:
        """How much is sent to workers and back; see `OpenExecutor.ships`."""
        options = self._options
        return Shipping(options.ship_at_most) if options.artifacts == "ship" else None

    async def run(self, attempt: ExecutorAttempt) -> None:
        """Let a worker run the attempt; see `OpenExecutor.run`.

        Raises:
            AttemptLost: nobody knows how it ended.
            StepError: no worker can run it.
        """
        key = attempt.key
        link = self._links[key] = _Link(attempt)
        is_over = False
        try:
            with link.scope:
                if worker := self._found.pop(key, ""):
                    link.attached = worker
                    self._hears(worker)
                    self._post(worker, Attach(key, self.topic, self._options.lost_after))
                else:
                    self._submit(link)
                await attempt.ended()
                is_over = True
            if not is_over and link.failure is not None:
                raise link.failure
        finally:
            self._end(link, is_over=is_over)

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of these keys that workers still have; see `OpenExecutor.find`."""
        if not keys or self._client is None:
            return frozenset()
        answers = await self._client.run(on_worker.keys_here, sorted(keys), on_error="ignore")
        found = {key: worker for worker, here in answers.items() for key in here}
        self._found |= found
        return frozenset(found)

    async def workers(self) -> list[WorkerFacts]:
        """Return what the workers are and offer now; see `OpenExecutor.workers`.

        Raises:
            StepError: a worker cannot say it: AetherFlow or Dask is not installed there.
        """
        if self._client is None:
            return []
        answers = await self._client.run(on_worker.facts, on_error="return")
        found = []
        for worker, answer in sorted(answers.items()):
            if isinstance(answer, Exception):
                raise StepError(
                    f"the worker {self._names.get(worker, worker)} cannot run attempts: {answer}",
                    hint="install the same AetherFlow there: pip install 'aetherflow[dask]'",
                    code="AF813",
                )
            found.append(msgspec.json.decode(answer, type=WorkerFacts))
        return found

    async def ask(self, question: bytes) -> dict[str, bytes]:
        """Let every worker answer a question; see `OpenExecutor.ask`."""
        if self._client is None:
            return {}
        answers = await self._client.run(on_worker.answer, question, on_error="ignore")
        return {self._names.get(worker, worker): answer for worker, answer in answers.items()}

    async def check(self) -> list[CheckResult]:
        """Check what only Dask knows; see `OpenExecutor.check`."""
        from aetherflow_dask.checks import checks_of  # noqa: PLC0415 - only `doctor` needs it

        return [] if self._client is None else await checks_of(self._client, self._options)

    # -- the connection ----------------------------------------------------------------------------------

    async def use(self, client: EngineClient) -> None:
        """Use a new connection to the scheduler: subscribe, see who is there, submit what waits."""
        client.subscribe_topic(self.topic, self._said)
        client.subscribe_topic("all", self._happened)
        # Those go by the stream of the client, which calls may overtake: a worker could speak unheard.
        await client.run_on_scheduler(subscribe, self.topic, client.id)
        self._client, self._unreachable = client, 0.0
        await client.register_plugin(on_worker.AttemptsPlugin(), name="aetherflow")
        await self._see_workers()
        for link in list(self._links.values()):
            for start in link.starts.values():
                self._post(start.worker, SendAgain(start.id, start.incoming.next))
            if not link.worker and link.future is None:
                self._submit(link)

    def disconnected(self) -> None:
        """Note that the scheduler is gone; attempts are lost if it does not come back in time."""
        self._client = None
        for link in self._links.values():
            link.future = None

    def done(self, key: str, error: BaseException | None) -> None:
        """Note how a task of Dask has ended."""
        link = self._submitted.get(key)
        if link is None:
            return
        link.is_done = True
        if (error is None or isinstance(error, KilledWorker)) and link.starts:
            return  # its answer has come before; or the worker is gone, or has none, which is seen elsewhere
        if (error is None or isinstance(error, KilledWorker)) and link.times < STARTS_AT_MOST:
            self._release(link, is_over=True)
            self._submit(link)
            return
        needs = _in_words(link.attempt.needs)
        if isinstance(error, NoValidWorkerError):
            link.give_up(StepError(f"no worker offers what the step needs{needs}", code="AF811"))
        elif error is None or isinstance(error, KilledWorker):
            link.give_up(AttemptLost(f"{link.times} workers have died before the attempt began"))
        else:
            link.give_up(
                StepError(
                    f"a worker could not begin the attempt: {type(error).__name__}: {error}",
                    hint="install the same AetherFlow there: pip install 'aetherflow[dask]'",
                    code="AF812",
                )
            )

    async def watch(self) -> None:
        """Give up the attempts of workers that are gone, or silent for too long.

        Silence is counted in pauses of this task, not by the clock: if the engine itself stood still, the
        messages of that time are read before anybody is lost.
        """
        pause = min(1.0, self._options.lost_after / 10)
        limit = self._options.lost_after + PROGRAMS_END_SECONDS
        while True:
            await anyio.sleep(pause)
            if self._client is None:
                self._unreachable += pause
                if self._unreachable > limit:
                    for link in list(self._links.values()):
                        link.give_up(AttemptLost("the scheduler of the cluster cannot be reached"))
            for worker in {link.worker for link in self._links.values()} - {""}:
                self._silence[worker] = self._silence.get(worker, 0.0) + pause
                if self._silence[worker] > limit:
                    self._lose(worker, f"has been silent for {limit:.0f} s")
            for worker, (left, why) in list(self._gone.items()):
                if left > pause:
                    self._gone[worker] = left - pause, why
                    continue
                del self._gone[worker]
                self._lose(worker, why)

    async def close(self) -> None:
        """Leave nothing in the scheduler."""
        for box in self._boxes.values():
            box.scope.cancel()
        if self._client is not None:
            with suppress(OSError, TimeoutError):
                await self._client.run_on_scheduler(forget_topic, self.topic)

    # -- from the workers --------------------------------------------------------------------------------

    def _said(self, event: tuple[float, bytes]) -> None:
        """Take what a worker says."""
        said = said_of(event[1])
        self._hears(said.worker)
        begun: list[Future[None]] = []
        for frame in said.frames:
            self._frame(said.worker, frame, begun)
        if begun:
            fire_and_forget(begun)
        if said.is_beat:
            self._beat(said)

    def _frame(self, worker: str, frame: Frame, begun: list[Future[None]]) -> None:
        link = self._links.get(frame.key)
        attempt = self._late.get(frame.key) if link is None else link.attempt
        if attempt is None:
            self._post(worker, Forget(frame.start, "the engine has given it up"))
            return
        if link is None:
            start = _Start(frame.start, worker, is_attached=True)
            message = start.incoming.add(frame) if frame.is_last else None
        else:
            found = link.starts.get(frame.start)
            if found is None:
                if link.future is not None and not link.starts:
                    begun.append(link.future)
                found = link.starts[frame.start] = _Start(
                    frame.start, worker, is_attached=bool(link.attached)
                )
            start = found
            try:
                message = start.incoming.add(frame)
            except LookupError:
                if start.asked_again != start.incoming.next:
                    start.asked_again = start.incoming.next
                    self._post(worker, SendAgain(start.id, start.incoming.next))
                return
        if message is not None:
            attempt.deliver(frame.start, message, self._reply(frame.key, start))

    def _reply(self, key: str, start: _Start) -> Callable[[bytes], None]:
        def reply(message: bytes) -> None:
            if threading.get_ident() == self._thread:
                self._answer(key, start, message)
            else:
                self._loop.call_soon_threadsafe(self._answer, key, start, message)

        return reply

    def _answer(self, key: str, start: _Start, message: bytes) -> None:
        for frame in frames_of(key, start.id, start.sent + 1, message):
            start.sent = frame.number
            self._post(start.worker, Deliver(frame))

    def _beat(self, said: Said) -> None:
        """See from a beat whether frames are missing, or a whole start; acknowledge what has come."""
        unseen = {*said.last} - self._late_starts.keys()
        for link in list(self._links.values()):
            for start in link.starts.values():
                if start.worker != said.worker:
                    continue
                unseen.discard(start.id)
                last = said.last.get(start.id)
                if last is None:
                    start.missing += 1
                    if start.missing > 1:
                        self._unknown(start.id)
                    continue
                start.missing = 0
                if last >= start.incoming.next:
                    self._post(start.worker, SendAgain(start.id, start.incoming.next))
                elif start.incoming.next - 1 > start.acknowledged:
                    start.acknowledged = start.incoming.next - 1
                    self._post(start.worker, Acknowledge(start.id, start.acknowledged))
        for name in unseen:
            self._post(said.worker, SendAgain(name, 1))

    def _hears(self, worker: str) -> None:
        self._silence[worker] = 0.0

    def _happened(self, event: tuple[float, Any]) -> None:
        """Take what the scheduler says about workers."""
        message = event[1]
        if not isinstance(message, dict):
            return
        worker = message.get("worker", "")
        if message.get("action") == "remove-worker":
            why = "has left the cluster" if message.get("expected") else "has died or was cut off"
            self._gone[worker] = PROGRAMS_END_SECONDS, why
            self._tasks.start_soon(self._see_workers)
        elif message.get("action") == "add-worker":
            self._gone.pop(worker, None)
            self._tasks.start_soon(self._see_workers)

    async def _see_workers(self) -> None:
        """Count the threads of all workers, and note who is gone that should be there."""
        if self._client is None:
            return
        scheduler: Any = self._client.scheduler
        try:
            identity = await scheduler.identity(n_workers=-1)
        except OSError:
            return  # the loss of the scheduler is seen elsewhere
        self._threads = int(identity["total_threads"])
        if self._threads:
            self.has_workers.set()
        self._names |= {address: str(one["name"]) for address, one in identity["workers"].items()}
        for worker in {link.worker for link in self._links.values()} - {"", *identity["workers"]}:
            self._gone.setdefault(worker, (PROGRAMS_END_SECONDS, "has died or was cut off"))

    def _lose(self, worker: str, why: str) -> None:
        """Give up the attempts of a worker."""
        name = self._names.get(worker, worker)
        if (box := self._boxes.pop(worker, None)) is not None:
            box.scope.cancel()
        for link in list(self._links.values()):
            if link.worker == worker:
                link.give_up(AttemptLost(f"the worker {name} {why}"))
        self._silence.pop(worker, None)

    def _unknown(self, name: str) -> None:
        """Give up an attempt that its worker does not know any more."""
        for key, link in list(self._links.items()):
            if name == next(iter(link.starts), key):
                worker = self._names.get(link.worker, link.worker)
                link.give_up(AttemptLost(f"the worker {worker} does not have it any more"))

    # -- to the workers ----------------------------------------------------------------------------------

    def _submit(self, link: _Link) -> None:
        """Give the attempt to Dask, together with those of the same turn of the event loop."""
        if self._client is None:
            return  # it is given with the next connection
        self._to_submit.append(link)
        if len(self._to_submit) == 1:
            self._loop.call_soon(self._submit_all)

    def _submit_all(self) -> None:
        links, self._to_submit = self._to_submit, []
        if self._client is None:
            return
        groups: dict[bytes, list[_Link]] = {}
        for link in links:
            if self._links.get(link.attempt.key) is link:
                groups.setdefault(msgspec.json.encode(link.attempt.needs), []).append(link)
        for group in groups.values():
            needs = group[0].attempt.needs
            for link in group:
                link.times += 1
            keys = [f"{KEY}{link.attempt.key} {link.times}" for link in group]
            futures = self._client.map(
                on_worker.run_attempt,
                [link.attempt.key for link in group],
                [self.topic] * len(group),
                [self._options.lost_after] * len(group),
                key=keys,
                pure=False,
                retries=0,
                resources=resources_of(needs) or None,
            )
            for link, key, future in zip(group, keys, futures, strict=True):
                link.future, link.is_done = future, False
                self._submitted[key] = link

    def _end(self, link: _Link, *, is_over: bool) -> None:
        """Forget an attempt: its task, and what comes of it later."""
        key = link.attempt.key
        del self._links[key]
        self._found.pop(key, None)
        self._release(link, is_over=is_over)
        if is_over:
            return
        self._late[key] = link.attempt
        self._late_starts |= dict.fromkeys(link.starts)
        for late in (self._late, self._late_starts):
            if len(late) > MOST_LATE:
                del late[next(iter(late))]
        if link.failure is None:
            for start in link.starts.values():
                self._post(start.worker, Forget(start.id, "the engine has given it up"))

    def _release(self, link: _Link, *, is_over: bool) -> None:
        """Let Dask forget the task of an attempt, and not begin it if it has not begun."""
        future, link.future = link.future, None
        if future is None:
            return
        self._submitted.pop(str(future.key), None)
        if is_over or self._client is None:
            future.release()
        else:
            self._tasks.start_soon(self._cancel, self._client, future)

    async def _cancel(self, client: EngineClient, future: Future[None]) -> None:
        with suppress(OSError):  # without a scheduler there is no task
            await client.cancel([future], force=True)

    def _connected(self) -> EngineClient:
        """Return the connection to the scheduler.

        Raises:
            OSError: there is none now.
        """
        if self._client is None:
            raise OSError("the scheduler cannot be reached")
        return self._client

    def _post(self, worker: str, message: ToWorker) -> None:
        box = self._boxes.get(worker)
        if box is None:
            box = self._boxes[worker] = _Box()
            self._tasks.start_soon(self._send_to, worker, box)
        box.messages.append(message)
        box.ready.set()

    async def _send_to(self, worker: str, box: _Box) -> None:
        """Send a worker what is for it, one batch after the other; a batch is repeated until it was taken."""
        pause = 0.1
        with box.scope:
            while True:
                await box.ready.wait()
                batch = _batch(box)
                while batch:
                    try:
                        answers = await self._connected().run(
                            on_worker.take, encoded(batch), workers=[worker]
                        )
                    except (OSError, TimeoutError):  # the next try may find it, or it is lost
                        await anyio.sleep(pause)
                        pause = min(2 * pause, 2.0)
                        continue
                    pause = 0.1
                    for name in answers[worker]:
                        self._unknown(name)
                    break


def _batch(box: _Box) -> list[ToWorker]:
    """Take what is to be sent at once."""
    batch: list[ToWorker] = []
    size = 0
    while box.messages and size < PIECE_BYTES:
        message = box.messages.popleft()
        batch.append(message)
        size += len(message.frame.data) if isinstance(message, Deliver) else 0
    if not box.messages:
        box.ready = anyio.Event()
    return batch


def resources_of(needs: Needs) -> dict[str, float]:
    """Return what an attempt needs as resources of Dask: labels are resources too."""
    resources = {name: float(amount) for name, amount in needs.resources.items()}
    if needs.label:
        resources[f"{on_worker.LABEL}{needs.label}"] = 1.0
    return resources


def subscribe(topic: str, client: str, dask_scheduler: Any = None) -> None:
    """Send a client the events of a topic from now on; called in the scheduler."""
    dask_scheduler.subscribe_topic(topic, client)


def forget_topic(topic: str, dask_scheduler: Any = None) -> None:
    """Forget the events of a topic in the scheduler, which would keep the last ones for ever."""
    dask_scheduler._broker._topics.pop(topic, None)  # noqa: SLF001 - there is no public way


def _in_words(needs: Needs) -> str:
    words = [f"{name}: {amount:g}" for name, amount in needs.resources.items()]
    if needs.label:
        words.append(f"runs_on: {needs.label}")
    return f" ({', '.join(words)})" if words else ""
