"""Open the executor: start a cluster if the options say so, connect, and connect again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)

import anyio
import msgspec
from msgspec.structs import replace

from aetherflow import ExecutorError, one_error
from aetherflow_dask.client import EngineClient
from aetherflow_dask.clusters.worker_command import Log, Started, WorkerCommand
from aetherflow_dask.connection import Connection
from aetherflow_dask.local_cluster import local_cluster
from aetherflow_dask.options import ClusterKind, DaskOptions

CLOSE_SECONDS = 5.0
QUIET_SECONDS = 3.0
"""When something is awaited for so long, a line says what."""

PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


@asynccontextmanager
async def opened(options: DaskOptions, log: Log) -> AsyncIterator[Connection]:
    """Have a cluster, and be connected to it; see `Executor.open`.

    Raises:
        ConfigError: the options cannot be used.
        ExecutorError: the cluster cannot be reached, or not be started.
    """
    async with _cluster(options, log) as cluster, one_error() as tasks:
        # Workers that are started here offer all the same; others may be started one after the other.
        connection = Connection(cluster, tasks, log, options.connect_within if options.address else 0.0)
        link = _Link(cluster, connection, log, _awaited_of(options))
        try:
            await link.connect()
            tasks.start_soon(connection.watch)
            tasks.start_soon(link.keep)
            yield connection
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await connection.close()
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await link.close()


@asynccontextmanager
async def _cluster(options: DaskOptions, log: Log) -> AsyncIterator[DaskOptions]:
    """Have the cluster of the options; yield them with its address and its certificates."""
    if options.address:
        yield options
        return
    async with AsyncExitStack() as stack:
        with _said_if_slow(log, lambda: f"waiting for {_awaited_of(options).start}"):
            address, security = await stack.enter_async_context(_started(options, log))
        yield replace(
            options,
            address=address,
            security=security,
            cluster=None,
            ssh=None,
            slurm=None,
            kubernetes=None,
            resources={},
            labels=[],
        )


class _Awaited(msgspec.Struct, frozen=True):
    """What a cluster is awaited for, in words.

    Attributes:
        start: what starts it.
        worker: its first worker.
        hint: what to do if none comes.
    """

    start: str
    worker: str
    hint: str


_MORE_TIME = "or give it more time: connect_within"
_AWAITED: Mapping[ClusterKind, _Awaited] = {
    "local": _Awaited(
        "the scheduler on this machine",
        "a first worker on this machine",
        f"look at what its processes said above, {_MORE_TIME}",
    ),
    "ssh": _Awaited(
        "the scheduler on this machine, and for SSH to the hosts",
        "a first worker on one of the hosts",
        f"look at what workers said above; they must reach this machine: scheduler_host; {_MORE_TIME}",
    ),
    "slurm": _Awaited(
        "the scheduler on this machine, and for sbatch",
        "a first job of Slurm to run",
        f"look at the jobs: squeue --me; they must reach this machine: scheduler_host; {_MORE_TIME}",
    ),
    "kubernetes": _Awaited(
        "Kubernetes to make the scheduler",
        "a first pod to run",
        f"look at the pods: kubectl get pods, {_MORE_TIME}",
    ),
}


def _awaited_of(options: DaskOptions) -> _Awaited:
    if not options.address:
        return _AWAITED[options.cluster or "local"]
    return _Awaited(
        "",
        f"a first worker: aetherflow worker {options.address}",
        f"start one: aetherflow worker {options.address}",
    )


@contextmanager
def _said_if_slow(log: Log, text: Callable[[], str]) -> Iterator[None]:
    """Say once what is awaited, if the block takes longer than a moment."""
    saying = asyncio.get_running_loop().call_later(QUIET_SECONDS, lambda: log("info", text()))
    try:
        yield
    finally:
        saying.cancel()


def _started(options: DaskOptions, log: Log) -> AbstractAsyncContextManager[Started]:
    """Start the cluster of the options for the length of a block."""
    workers = WorkerCommand(
        threads=options.threads,
        labels=options.labels,
        resources=options.resources,
        lost_after=options.lost_after,
    )
    if options.ssh is not None:
        from aetherflow_dask.clusters.ssh import ssh_cluster  # noqa: PLC0415 - each has its own library

        return ssh_cluster(options.ssh, workers, options.security, log)
    if options.slurm is not None:
        from aetherflow_dask.clusters.slurm import slurm_cluster  # noqa: PLC0415 - as above

        return slurm_cluster(options.slurm, options.workers, workers, options.security, log)
    if options.kubernetes is not None:
        from aetherflow_dask.clusters.kubernetes import kubernetes_cluster  # noqa: PLC0415 - as above

        seconds = options.connect_within
        return kubernetes_cluster(options.kubernetes, options.workers, workers, seconds, log)
    return local_cluster(options, log)


class _Link:
    """Holds the connection to the scheduler."""

    def __init__(self, options: DaskOptions, connection: Connection, log: Log, awaited: _Awaited) -> None:
        self._options, self._connection, self._log = options, connection, log
        self._awaited = awaited
        self._client: EngineClient | None = None
        self._lost = anyio.Event()

    async def connect(self) -> None:
        """Connect for the first time, and wait for a worker.

        Raises:
            ExecutorError: nobody answers in time, or no worker is there.
        """
        address, seconds = self._options.address, self._options.connect_within
        problem, hint = "", "start it: dask scheduler; or correct address and security"

        def awaited() -> str:
            so_far = f": {problem}" if problem else ""
            return f"waiting for the Dask scheduler at {address} (up to {seconds:g} s){so_far}"

        with anyio.move_on_after(seconds) as within:
            with _said_if_slow(self._log, awaited):
                while self._client is None:
                    try:
                        await self._try()
                    except OSError as error:
                        problem = str(error) or type(error).__name__
                        await anyio.sleep(PAUSE_SECONDS)
            problem, hint = "it has no workers", self._awaited.hint
            left = max(within.deadline - anyio.current_time(), 0)
            with _said_if_slow(self._log, lambda: f"waiting for {self._awaited.worker} (up to {left:.0f} s)"):
                await self._connection.presence.has_workers.wait()
        if within.cancelled_caught:
            why = f"{problem or 'no answer'}; it was tried for {seconds:g} s"
            raise ExecutorError(
                f"the Dask cluster at {address} cannot be used: {why}", hint=hint, code="AF883"
            )

    async def keep(self) -> None:
        """Connect again whenever the scheduler is lost, sooner or later."""
        while True:
            await self._lost.wait()
            self._connection.disconnected()
            self._log("warning", f"the connection to the scheduler at {self._options.address} is lost")
            await self.close()
            pause = PAUSE_SECONDS
            while self._client is None:
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                with suppress(OSError):
                    await self._try()
            self._log("info", f"the scheduler at {self._options.address} is there again")

    async def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError, TimeoutError):
                await client.close(timeout=CLOSE_SECONDS)

    async def _try(self) -> None:
        """Connect once.

        Raises:
            OSError: the scheduler does not answer.
        """
        self._lost = lost = anyio.Event()
        client = EngineClient(
            self._options.address, self._options, on_lost=lost.set, on_done=self._connection.done
        )
        try:
            await client
            await self._connection.use(client)
        except BaseException:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True), suppress(OSError, TimeoutError):
                await client.close(timeout=1)
            raise
        self._client = client
