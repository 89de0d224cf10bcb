"""The attempts of this engine on a cluster of Dask: given to workers, heard, answered, and seen lost.

All of it runs on the event loop of the engine. One topic of Dask brings what all workers say; one task for
each worker sends it, in batches, what the engine says.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.abc
import msgspec

from aetherflow import (
    AttemptLost,
    CheckResult,
    ExecutorAttempt,
    ExecutorError,
    Place,
    Shipping,
    StepError,
    WorkerFacts,
)
from aetherflow_dask import on_worker
from aetherflow_dask.admission import Admission
from aetherflow_dask.carried import Carried, Start
from aetherflow_dask.client import EngineClient
from aetherflow_dask.dask_tasks import DaskTasks
from aetherflow_dask.options import DaskOptions
from aetherflow_dask.outbox import Outbox
from aetherflow_dask.presence import DIED, LEFT, Presence
from aetherflow_dask.wire import (
    Acknowledge,
    Attach,
    Deliver,
    Forget,
    Frame,
    Said,
    SendAgain,
    frames_of,
    said_of,
)

MOST_LATE = 1000
"""So many attempts that were given up are remembered, to say of what comes late that it does."""


class Connection:
    """The `OpenExecutor` of Dask.

    Attributes:
        topic: the topic of what the workers say to this engine.
        presence: the workers that are there.
    """

    def __init__(
        self,
        options: DaskOptions,
        tasks: anyio.abc.TaskGroup,
        log: Callable[[str, str], None],
        joins_within: float = 0.0,
    ) -> None:
        self._joins_within = joins_within
        self.topic = f"aetherflow-{uuid.uuid4().hex}"
        self.presence = Presence(options.lost_after, self._is_silent)
        self._options, self._tasks, self._log = options, tasks, log
        self._client: EngineClient | None = None
        self._admission = Admission(
            tasks, ask=self._facts_of, take=self._take_said, turn_away=self._turn_away, log=log
        )
        self._dask = DaskTasks(self.topic, options, tasks, self._fit_workers)
        self._outbox = Outbox(tasks, self._unknown)
        self._carried: dict[str, Carried] = {}
        self._starts: dict[str, Start] = {}
        self._at: dict[str, dict[str, Start]] = {}
        self._found: dict[str, tuple[str, str]] = {}
        self._late: dict[str, Carried] = {}
        self._late_starts: dict[str, None] = {}
        self._thread, self._loop = threading.get_ident(), asyncio.get_running_loop()
        self._unreachable = 0.0

    # -- the protocol ------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many attempts the workers run at once; see `OpenExecutor.slots`."""
        return self.presence.threads

    @property
    def ships(self) -> Shipping | None:
        """How much is sent to workers and back; see `OpenExecutor.ships`."""
        options = self._options
        return Shipping(options.ship_at_most) if options.artifacts == "ship" else None

    @property
    def joins_within(self) -> float:
        """How long workers may be missing that are meant to be there; see `OpenExecutor.joins_within`."""
        return self._joins_within

    async def run(self, attempt: ExecutorAttempt) -> None:
        """Let a worker run the attempt; see `OpenExecutor.run`.

        Raises:
            AttemptLost: nobody knows how it ended.
            StepError: no worker can run it.
        """
        carried = self._carried[attempt.key] = Carried(attempt)
        is_over = False
        try:
            with carried.scope:
                if found := self._found.pop(attempt.key, None):
                    start = self._add(carried, *found, is_joined=True)
                    self._outbox.put(start.worker, Attach(start.id, self.topic, self._options.lost_after))
                else:
                    self._dask.submit(carried)
                await attempt.ended()
                is_over = True
            if not is_over and carried.failure is not None:
                raise carried.failure
        finally:
            self._end(carried, is_over=is_over)

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of these keys that workers still have; see `OpenExecutor.find`.

        Raises:
            ExecutorError: the scheduler cannot be reached.
        """
        if not keys:
            return frozenset()
        answers = await self._everywhere(on_worker.starts_here, sorted(keys))
        found = {
            key: (start, worker)
            for worker, here in answers.items()
            if not isinstance(here, Exception)
            for key, start in here.items()
        }
        self._found |= found
        return frozenset(found)

    async def workers(self) -> list[WorkerFacts]:
        """Return what the workers are and offer now; see `OpenExecutor.workers`.

        Raises:
            ExecutorError: the scheduler cannot be reached.
            StepError: a worker cannot say it: AetherFlow or Dask is not installed there, or it hangs.
        """
        found = []
        for worker, answer in sorted((await self._everywhere(on_worker.facts)).items()):
            if isinstance(answer, Exception):
                raise StepError(
                    f"the worker {self.presence.name_of(worker)} cannot run attempts: "
                    f"{str(answer) or type(answer).__name__}",
                    hint="install the same AetherFlow there: pip install 'aetherflow[dask]'",
                    code="AF813",
                )
            found.append(facts := msgspec.json.decode(answer, type=WorkerFacts))
            await self._admission.note(worker, facts)
        return found

    async def ask(self, question: bytes) -> dict[str, bytes]:
        """Let every worker answer a question; see `OpenExecutor.ask`.

        Raises:
            ExecutorError: the scheduler cannot be reached.
        """
        answers = await self._everywhere(on_worker.answer, question)
        return {
            self.presence.name_of(worker): answer
            for worker, answer in answers.items()
            if not isinstance(answer, Exception)
        }

    async def check(self) -> list[CheckResult]:
        """Check what only Dask knows; see `OpenExecutor.check`."""
        from aetherflow_dask.checks import checks_of  # noqa: PLC0415 - only `doctor` needs it

        return [] if self._client is None else await checks_of(self._client, self._options)

    # -- the connection ----------------------------------------------------------------------------------

    async def use(self, client: EngineClient) -> None:
        """Use a new connection to the scheduler: subscribe, see who is there, submit what waits.

        Raises:
            OSError: it is lost already.
        """
        client.subscribe_topic(self.topic, self._said)
        client.subscribe_topic("all", self._happened)
        # Those go by the stream of the client, which calls may overtake: a worker could speak unheard.
        await client.run_on_scheduler(subscribe, self.topic, client.id)
        await client.register_plugin(on_worker.AttemptsPlugin(), name="aetherflow")
        self._client = self._outbox.client = client
        self._unreachable = 0.0
        await self._see_workers()
        for start in self._starts.values():
            self._outbox.put(start.worker, SendAgain(start.id, max(start.incoming.next, 1)))
        self._dask.connected(client, list(self._carried.values()))

    def disconnected(self) -> None:
        """Note that the scheduler is gone; attempts are lost if it does not come back in time."""
        self._client = self._outbox.client = self._dask.client = None

    def done(self, key: str, error: BaseException | None) -> None:
        """Note how a task of Dask has ended."""
        self._dask.done(key, error)

    async def watch(self) -> None:
        """Give up the attempts of workers that are gone, or silent for too long."""
        pause = min(1.0, self._options.lost_after / 10)
        while True:
            await anyio.sleep(pause)
            self.presence.tick(pause, self._at.keys())
            if self._client is not None:
                continue
            self._unreachable += pause
            if self._unreachable > self.presence.limit:
                self._unreachable = 0.0  # what is tried from now on has as long
                for carried in list(self._carried.values()):
                    carried.give_up(AttemptLost("the scheduler of the cluster cannot be reached"))

    async def close(self) -> None:
        """Send what is to be sent, and leave nothing in the scheduler."""
        if self._client is not None:
            await self._outbox.drain()
            with suppress(OSError, TimeoutError):
                await self._client.run_on_scheduler(forget_topic, self.topic)

    # -- from the workers --------------------------------------------------------------------------------

    def _said(self, event: tuple[float, bytes]) -> None:
        """Take what a worker says."""
        said = said_of(event[1])
        self.presence.hears(said.worker)
        self._admission.take(said)

    def _take_said(self, said: Said) -> None:
        """Take what a worker says that has the versions of this process."""
        begun: list[Carried] = []
        for frame in said.frames:
            carried = self._carried.get(frame.key)
            if carried is None:
                self._take_late(said.worker, frame)
                continue
            if carried.counting is None:
                begun.append(carried)
            self._take(carried.starts.get(frame.start) or self._add(carried, frame.start, said.worker), frame)
        self._dask.begun(begun)
        if said.is_beat:
            self._beat(said)

    def _take(self, start: Start, frame: Frame) -> None:
        try:
            message = start.incoming.add(frame)
        except LookupError:
            if start.asked_again != start.incoming.next:
                start.asked_again = start.incoming.next
                self._outbox.put(start.worker, SendAgain(start.id, start.incoming.next))
            return
        if message is not None:
            start.carried.attempt.deliver(start.id, message, self._reply(start))

    def _take_late(self, worker: str, frame: Frame) -> None:
        """Take what comes of an attempt that is carried no more: the engine refuses it, or knows it not."""
        carried = self._late.get(frame.key)
        if carried is None:
            self._outbox.put(worker, Forget(frame.start, "the engine has given it up"))
            return
        start = carried.starts.get(frame.start)
        if start is None:
            start = carried.starts[frame.start] = Start(carried, frame.start, worker, is_joined=True)
            self._late_starts[start.id] = None
        self._take(start, frame)

    def _reply(self, start: Start) -> Callable[[bytes], None]:
        def reply(message: bytes) -> None:
            if threading.get_ident() == self._thread:
                self._answer(start, message)
            else:
                self._loop.call_soon_threadsafe(self._answer, start, message)

        return reply

    def _answer(self, start: Start, message: bytes) -> None:
        for frame in frames_of(start.carried.attempt.key, start.id, start.sent + 1, message):
            start.sent = frame.number
            self._outbox.put(start.worker, Deliver(frame))

    def _beat(self, said: Said) -> None:
        """See from a beat whether frames are missing, or a whole start; acknowledge what has come."""
        for start in list(self._at.get(said.worker, {}).values()):
            last = said.last.get(start.id)
            if last is None:
                start.unseen += 1
                if start.unseen > 1:
                    self._unknown(start.id)
                continue
            start.unseen = 0
            if last >= max(start.incoming.next, 1):
                self._outbox.put(start.worker, SendAgain(start.id, max(start.incoming.next, 1)))
            elif start.incoming.next - 1 > start.acknowledged:
                start.acknowledged = start.incoming.next - 1
                self._outbox.put(start.worker, Acknowledge(start.id, start.acknowledged))
        for name in said.last.keys() - self._starts.keys() - self._late_starts.keys():
            self._outbox.put(said.worker, SendAgain(name, 1))

    # -- about the workers -------------------------------------------------------------------------------

    def _happened(self, event: tuple[float, Any]) -> None:
        """Take what the scheduler says about workers."""
        message = event[1] if isinstance(event[1], dict) else {}
        action, worker = message.get("action"), message.get("worker", "")
        if action == "add-worker":
            self._admission.look(worker)
        if action == "remove-worker":
            self._has_gone(worker, LEFT if message.get("expected") else DIED)
        elif action != "add-worker":
            return
        self._tasks.start_soon(self._see_workers)

    async def _see_workers(self) -> None:
        """Ask the scheduler for its workers."""
        if self._client is None:
            return
        scheduler: Any = self._client.scheduler
        with suppress(OSError):  # the loss of the scheduler is seen elsewhere
            # What begins on a new worker meanwhile may be unknown to this answer.
            before = {*self._at, *self._outbox.workers, *self._admission.workers}
            identity = await scheduler.identity(n_workers=-1)
            self.presence.see(identity, before | self._at.keys())
            for worker in before:
                if worker not in identity["workers"]:
                    self._has_gone(worker, DIED)

    def _has_gone(self, worker: str, why: str) -> None:
        """Note that a worker is gone; its attempts are lost when its programs have had time to end.

        The next worker may have the same address: what begins there from now on is no part of it.
        """
        self._outbox.drop(worker)
        self._admission.forget(worker)
        if starts := self._at.pop(worker, None):
            for start in starts.values():
                start.worker = ""
            self.presence.has_gone(partial(self._give_up, starts, self.presence.name_of(worker), why))

    def _is_silent(self, worker: str, seconds: float) -> None:
        """Give up the attempts of a worker, and let the scheduler give it no more, if that is silent too."""
        self._outbox.drop(worker)
        self._give_up(
            self._at.get(worker, {}),
            self.presence.name_of(worker),
            f"has been silent for {seconds:.0f} s",
        )
        self._tasks.start_soon(self._remove_if_silent, worker)

    def _give_up(self, starts: Mapping[str, Start], name: str, why: str) -> None:
        for start in list(starts.values()):
            if start.counts:
                start.carried.give_up(AttemptLost(f"the worker {name} {why}"))

    async def _remove_if_silent(self, worker: str) -> None:
        if self._client is not None:
            with suppress(OSError, TimeoutError, RuntimeError):
                await self._client.run_on_scheduler(remove_if_silent, worker, self._options.lost_after / 2)

    def _unknown(self, name: str) -> None:
        """Give up an attempt that its worker does not know any more."""
        start = self._starts.get(name)
        if start is not None and start.counts:
            where = self.presence.name_of(start.worker)
            start.carried.give_up(AttemptLost(f"the worker {where} does not have the attempt any more"))

    def _turn_away(self, said: Said) -> None:
        """Let a worker with other versions begin nothing; what it was given goes to others."""
        why = f"this worker differs from the engine: {self._admission.unfit[said.worker]}"
        for frame in said.frames:
            if (carried := self._carried.get(frame.key)) is not None:
                carried.turned_away = f"the worker {self.presence.name_of(said.worker)} has other versions"
        for start in {*said.last, *(frame.start for frame in said.frames)}:
            self._outbox.put(said.worker, Forget(start, why))

    def _fit_workers(self) -> list[str]:
        """Return the workers that may get work, if some may not; else none: any may."""
        unfit = self._admission.unfit
        return [worker for worker in self.presence.names if worker not in unfit] if unfit else []

    async def _facts_of(self, worker: str) -> WorkerFacts | None:
        """Ask a worker what it is; None: it does not answer."""
        answers: dict[str, Any] = {}
        if self._client is not None:
            await self._call(self._client, worker, on_worker.facts, answers)
        if not isinstance(answer := answers.get(worker), bytes):
            return None
        try:
            return msgspec.json.decode(answer, type=WorkerFacts)
        except msgspec.DecodeError:  # it differs so much that it says other things of itself
            return WorkerFacts(Place(self.presence.name_of(worker), ""), 0)

    async def _everywhere(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """Call a function on each worker; return what each returned, or the error; none waits for another.

        Raises:
            ExecutorError: the scheduler cannot be reached.
        """
        answers: dict[str, Any] = {}
        client = self._client
        if client is None:
            raise ExecutorError("the scheduler of the cluster cannot be reached")
        scheduler: Any = client.scheduler
        try:
            identity = await scheduler.identity(n_workers=-1)
        except OSError as error:
            raise ExecutorError(f"the scheduler of the cluster cannot be reached: {error}") from None
        async with anyio.create_task_group() as tasks:
            for worker in identity["workers"]:
                tasks.start_soon(self._call, client, worker, partial(function, *args), answers)
        return answers

    async def _call(
        self, client: EngineClient, worker: str, function: Callable[..., Any], answers: dict[str, Any]
    ) -> None:
        answers[worker] = TimeoutError("it does not answer")
        with anyio.move_on_after(self.presence.limit):
            try:
                answers |= await client.run(function, workers=[worker], on_error="return")
            except (OSError, RuntimeError) as error:
                answers[worker] = error

    # -- attempts ----------------------------------------------------------------------------------------

    def _add(self, carried: Carried, name: str, worker: str, *, is_joined: bool = False) -> Start:
        """Note a start of an attempt."""
        start = carried.starts[name] = Start(carried, name, worker, is_joined=is_joined)
        self._starts[name] = start
        self._at.setdefault(worker, {})[name] = start
        return start

    def _end(self, carried: Carried, *, is_over: bool) -> None:
        """Carry an attempt no more; what comes of it later is given to it nevertheless."""
        key = carried.attempt.key
        del self._carried[key]
        self._dask.release(carried, is_over=is_over)
        for start in carried.starts.values():
            del self._starts[start.id]
            here = self._at.get(start.worker, {})
            here.pop(start.id, None)
            if not here:
                self._at.pop(start.worker, None)
        if not is_over:
            self._late[key] = carried
            self._late_starts |= dict.fromkeys(carried.starts)
            for late in (self._late, self._late_starts):
                while len(late) > MOST_LATE:
                    del late[next(iter(late))]


def subscribe(topic: str, client: str, dask_scheduler: Any = None) -> None:
    """Send a client the events of a topic from now on; called in the scheduler."""
    dask_scheduler.subscribe_topic(topic, client)


async def remove_if_silent(worker: str, seconds: float, dask_scheduler: Any = None) -> None:
    """Let the scheduler remove a worker of which it has heard nothing for so long, either."""
    found = dask_scheduler.workers.get(worker)
    if found is not None and time.time() - found.last_seen > seconds:
        await dask_scheduler.remove_worker(worker, stimulus_id="aetherflow-silent")


def forget_topic(topic: str, dask_scheduler: Any = None) -> None:
    """Forget the events of a topic in the scheduler, which would keep the last ones for ever."""
    dask_scheduler._broker._topics.pop(topic, None)  # noqa: SLF001 - there is no public way
