"""What the engine calls on a worker of Dask; only the names of these functions travel."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
from distributed import WorkerPlugin, get_worker
from distributed.core import Status

from aetherflow import WorkerFacts, answer_of_worker, worker_facts
from aetherflow_dask.attempts_here import attempts_of

if TYPE_CHECKING:
    from distributed import Worker

LABEL = "label "
"""A label is offered as a resource of this name and the label, of which there is always enough."""

PLENTY = 1e9


class AttemptsPlugin(WorkerPlugin):
    """Makes a worker ready for attempts, and stops them when it closes."""

    name = "aetherflow"

    def setup(self, worker: Worker) -> None:
        """Prepare the worker: its first attempt starts at once."""
        attempts_of(worker)

    async def teardown(self, worker: Worker) -> None:
        """Stop the attempts if the worker closes; not if the plugin is only registered again."""
        if worker.status in (Status.closing, Status.closed, Status.failed):
            await attempts_of(worker).stop("the worker ends")


def run_attempt(key: str, topic: str, lost_after: float) -> None:
    """Run an attempt of a step: the task of Dask, in a thread of the worker."""
    attempts_of(get_worker()).run(key, topic, lost_after)


def take(batch: bytes, dask_worker: Worker) -> list[str]:
    """Take what the engine sends; return the starts that are not here."""
    return attempts_of(dask_worker).take(batch)


def starts_here(keys: Collection[str], dask_worker: Worker) -> dict[str, str]:
    """Return the starts of the attempts of these keys that are here, by the keys."""
    return {key: start for key, start in attempts_of(dask_worker).begun().items() if key in set(keys)}


async def answer(question: bytes) -> bytes:
    """Answer a question of the engine, which may take a while."""
    return await asyncio.to_thread(answer_of_worker, question)


def facts(dask_worker: Worker) -> bytes:
    """Return what this worker is and offers."""
    resources = {name: float(amount) for name, amount in dask_worker.state.total_resources.items()}
    labels = [name.removeprefix(LABEL) for name in resources if name.startswith(LABEL)]
    found: WorkerFacts = worker_facts(
        attempts_of(dask_worker).place,
        dask_worker.state.nthreads,
        resources={name: amount for name, amount in resources.items() if not name.startswith(LABEL)},
        labels=labels,
    )
    return msgspec.json.encode(found)
