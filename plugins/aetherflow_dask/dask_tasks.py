"""The attempts of an engine as tasks of Dask: submitted together, kept alive without the engine, released."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import anyio.abc
import msgspec
from distributed import Future, fire_and_forget
from distributed.scheduler import KilledWorker, NoValidWorkerError

from aetherflow import AttemptLost, Needs, StepError
from aetherflow_dask import on_worker
from aetherflow_dask.carried import Carried
from aetherflow_dask.client import EngineClient
from aetherflow_dask.options import DaskOptions

TIMES = 10
"""How often an attempt is given to a worker that dies before the attempt has begun."""


class DaskTasks:
    """Submits attempts and sees how their tasks end.

    Attributes:
        client: the connection to the scheduler; None: there is none now.
    """

    def __init__(
        self,
        topic: str,
        options: DaskOptions,
        tasks: anyio.abc.TaskGroup,
        fit_workers: Callable[[], list[str]],
    ) -> None:
        """Take what all tasks have in common, and what names the fit workers if some are not fit."""
        self.client: EngineClient | None = None
        self._topic, self._options, self._tasks = topic, options, tasks
        self._fit_workers = fit_workers
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Carried] = []
        self._submitted: dict[str, Carried] = {}

    def submit(self, carried: Carried) -> None:
        """Give an attempt to Dask, with those of the same turn of the loop, or when there is a connection."""
        self._waiting.append(carried)
        if len(self._waiting) == 1 and self.client is not None:
            self._loop.call_soon(self._submit_all)

    def connected(self, client: EngineClient, carried: Iterable[Carried]) -> None:
        """Use a connection; submit of these attempts what has not begun."""
        self.client = client
        self._submitted.clear()
        for one in carried:
            one.task = None
        self._waiting = [one for one in carried if one.counting is None]
        self._submit_all()

    def begun(self, attempts: Collection[Carried]) -> None:
        """Let the tasks of attempts that begin live on without this engine."""
        if tasks := [one.task for one in attempts if one.task is not None]:
            fire_and_forget(tasks)

    def release(self, carried: Carried, *, is_over: bool) -> None:
        """Let Dask forget the task of an attempt; what is not over must not begin any more."""
        task, carried.task = carried.task, None
        if carried in self._waiting:
            self._waiting.remove(carried)
        if task is None:
            return
        self._submitted.pop(str(task.key), None)
        if is_over or carried.counting is not None or self.client is None:
            task.release()
        else:
            self._tasks.start_soon(_cancel, self.client, task)

    def done(self, key: str, error: BaseException | None) -> None:
        """Note how a task has ended; give up its attempt if that cannot come to anything."""
        carried = self._submitted.get(key)
        if carried is None:
            return
        carried.is_done = True
        if error is None or isinstance(error, KilledWorker):
            if carried.counting is not None:
                return  # its End has come before; or its worker is gone, or has it no more, which is seen
            if carried.times < TIMES:
                self.release(carried, is_over=True)
                self.submit(carried)
            else:
                died = f"{carried.times} workers have died before the attempt began"
                carried.give_up(AttemptLost(carried.turned_away or died))
        elif isinstance(error, NoValidWorkerError):
            needs = _in_words(carried.attempt.needs)
            carried.give_up(StepError(f"no worker offers what the step needs{needs}", code="AF811"))
        else:
            carried.give_up(
                StepError(
                    f"a worker could not begin the attempt: {type(error).__name__}: {error}",
                    hint="install the same AetherFlow there: pip install 'aetherflow[dask]'",
                    code="AF812",
                )
            )

    def _submit_all(self) -> None:
        if self.client is None:
            return
        waiting, self._waiting = self._waiting, []
        groups: dict[bytes, list[Carried]] = {}
        for carried in waiting:
            groups.setdefault(msgspec.json.encode(carried.attempt.needs), []).append(carried)
        for group in groups.values():
            for carried in group:
                carried.times += 1
            needs = resources_of(group[0].attempt.needs)
            # Dask ignores what a task needs when none of these workers is left: one with needs has no list.
            fit = [] if needs else self._fit_workers()
            # What stands before the first number is the prefix of the task: Dask keeps each for ever.
            keys = [f"aetherflow-{carried.times}-{carried.attempt.key}" for carried in group]
            futures = self.client.map(
                on_worker.run_attempt,
                [carried.attempt.key for carried in group],
                [self._topic] * len(group),
                [self._options.lost_after] * len(group),
                key=keys,
                pure=False,
                retries=0,
                resources=needs or None,
                workers=fit or None,
                allow_other_workers=bool(fit),
            )
            for carried, key, future in zip(group, keys, futures, strict=True):
                carried.task, carried.is_done = future, False
                self._submitted[key] = carried


async def _cancel(client: EngineClient, task: Future[None]) -> None:
    with suppress(OSError, RuntimeError):  # without a scheduler there is no task
        await client.cancel([task], force=True)


def resources_of(needs: Needs) -> dict[str, float]:
    """Return what an attempt needs as resources of Dask: labels are resources too."""
    resources = {name: float(amount) for name, amount in needs.resources.items()}
    if needs.label:
        resources[f"{on_worker.LABEL}{needs.label}"] = 1.0
    return resources


def _in_words(needs: Needs) -> str:
    words = [f"{name}: {amount:g}" for name, amount in needs.resources.items()]
    if needs.label:
        words.append(f"runs_on: {needs.label}")
    return f" ({', '.join(words)})" if words else ""
