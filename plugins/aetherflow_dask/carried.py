"""An attempt that the executor carries, and its starts on workers."""

from __future__ import annotations

import anyio
from distributed import Future

from aetherflow import ExecutorAttempt, StepError
from aetherflow_dask.wire import Assembly


class Start:
    """A start of an attempt on a worker.

    Attributes:
        worker: the address of the worker; empty: it is gone.
        acknowledged: the number of the frame up to which the worker knows that they have come.
        sent: the number of the last frame that was sent to it.
        unseen: how many beats of its worker, one after the other, did not name it.
        asked_again: the number of the frame from which it was asked to send again.
    """

    def __init__(self, carried: Carried, start: str, worker: str, *, is_joined: bool) -> None:
        self.carried = carried
        self.id, self.worker = start, worker
        self.incoming = Assembly(0 if is_joined else 1)
        self.acknowledged = self.sent = self.unseen = self.asked_again = 0

    @property
    def counts(self) -> bool:
        """Whether it is the start that the engine has let begin: the first one that asked."""
        return self.carried.counting is self


class Carried:
    """An attempt, and what is known of it.

    Attributes:
        starts: its starts that have asked whether they may begin, by their ids.
        scope: ends the wait for it.
        task: its task in Dask; None: it is not submitted, or was found on a worker.
        is_done: whether that task has ended.
        times: how often it was submitted.
        failure: why it is given up.
        turned_away: why the last worker that asked did not get it; empty: none was turned away.
    """

    def __init__(self, attempt: ExecutorAttempt) -> None:
        self.attempt = attempt
        self.starts: dict[str, Start] = {}
        self.scope = anyio.CancelScope()
        self.task: Future[None] | None = None
        self.is_done = False
        self.times = 0
        self.failure: StepError | None = None
        self.turned_away = ""

    @property
    def counting(self) -> Start | None:
        """The start that may begin; None: none has asked."""
        return next(iter(self.starts.values()), None)

    def give_up(self, failure: StepError) -> None:
        """End the wait for the attempt."""
        if self.failure is None:
            self.failure = failure
            self.scope.cancel()
