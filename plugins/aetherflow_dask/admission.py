"""Which workers get work: those with the versions of this process; one that joins later is asked first.

What an unknown worker says waits until that is known. Nothing is lost if it waits in vain: the worker sends
again what the engine has not acknowledged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import anyio.abc

from aetherflow import WorkerFacts, run_blocking, worker_differences
from aetherflow_dask.wire import Said

MOST_HELD = 1000
"""So many messages of a worker wait at most until its versions are known; the others are sent again."""


class Admission:
    """The workers whose versions are known.

    Attributes:
        unfit: what of a worker differs from this process, by the addresses of those that get no work.
    """

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        *,
        ask: Callable[[str], Awaitable[WorkerFacts | None]],
        take: Callable[[Said], None],
        turn_away: Callable[[Said], None],
        log: Callable[[str, str], None],
    ) -> None:
        """Admit nobody yet.

        Args:
            tasks: the group of its tasks.
            ask: asks the worker at an address what it is; None: it does not answer.
            take: takes what a worker says that gets work.
            turn_away: answers what another one says.
            log: shows a line.
        """
        self.unfit: dict[str, str] = {}
        self._fit: set[str] = set()
        self._tasks, self._log = tasks, log
        self._ask, self._take, self._turn_away = ask, take, turn_away
        self._held: dict[str, list[Said]] = {}

    @property
    def workers(self) -> Collection[str]:
        """The workers whose versions are known."""
        return self._fit | self.unfit.keys()

    def take(self, said: Said) -> None:
        """Take what a worker says, now or when its versions are known."""
        worker = said.worker
        if worker in self._fit:
            self._take(said)
        elif worker in self.unfit:
            self._turn_away(said)
        else:
            self.look(worker)
            if len(held := self._held[worker]) < MOST_HELD:
                held.append(said)

    def look(self, worker: str) -> None:
        """Find out soon whether a worker may get work, if that is not known."""
        if worker not in self._fit and worker not in self.unfit and worker not in self._held:
            self._held[worker] = []
            self._tasks.start_soon(self._look, worker)

    async def note(self, worker: str, facts: WorkerFacts) -> None:
        """Note what a worker is, which has said it."""
        if worker in self._fit or worker in self.unfit:
            return
        if found := await run_blocking(worker_differences, facts):
            self.unfit[worker] = found
        else:
            self._fit.add(worker)

    def forget(self, worker: str) -> None:
        """Forget a worker that is gone: the next one at its address may be another."""
        self._fit.discard(worker)
        self.unfit.pop(worker, None)
        self._held.pop(worker, None)

    async def _look(self, worker: str) -> None:
        held = self._held[worker]
        facts = await self._ask(worker)
        if facts is not None:
            await self.note(worker, facts)
        if self._held.get(worker) is not held:  # it has gone meanwhile
            return
        del self._held[worker]
        if facts is None:  # what it says again lets it be asked again
            return
        if found := self.unfit.get(worker):
            name = f"{facts.place.worker} ({facts.place.host})"
            self._log(
                "warning",
                f"AF826: the worker {name} gets no attempts, as it differs from this process: {found}",
            )
        for said in held:
            self.take(said)
