"""A cluster of processes on this machine, which ends with the block, or with this process if it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from aetherflow import ExecutorError, TlsFiles, WorkerRequest, one_error
from aetherflow_dask.certificates import temporary
from aetherflow_dask.child import SchedulerRole, WorkerRole
from aetherflow_dask.options import DaskOptions

SAID_LINES = 20
END_SECONDS = 15.0
KILL_SECONDS = 5.0
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ADDRESS_BYTES = 1000


@asynccontextmanager
async def local_cluster(
    options: DaskOptions, log: Callable[[str, str], None]
) -> AsyncIterator[tuple[str, TlsFiles | None]]:
    """Start a scheduler and workers; yield the address of the scheduler and the certificates.

    All processes are started at once, and a worker learns the address when the scheduler has one. A worker
    that dies is started again. Each of them ends with its standard input: also when this process is killed.

    Raises:
        ExecutorError: the scheduler did not start.
    """
    security = temporary()
    async with one_error() as tasks:
        cluster = _LocalCluster(options, security, log)
        try:
            await cluster.start(tasks)
            yield cluster.address, security
        finally:
            with anyio.move_on_after(2 * (END_SECONDS + KILL_SECONDS), shield=True):
                await cluster.end()
            tasks.cancel_scope.cancel()


class _Child:
    """A process, and the last lines that it has said."""

    def __init__(self, name: str, process: anyio.abc.Process) -> None:
        self.name, self.process = name, process
        self.said: deque[str] = deque(maxlen=SAID_LINES)

    async def tell(self, line: bytes) -> None:
        """Write a line to its standard input."""
        if self.process.stdin is None:
            return
        with suppress(
            anyio.BrokenResourceError, anyio.ClosedResourceError
        ):  # its end is seen where it is awaited
            await self.process.stdin.send(line + b"\n")

    async def first_line(self) -> str:
        """Return the first line of its standard output.

        Raises:
            EndOfStream: it has ended without one.
            IncompleteRead: it has ended within it.
        """
        if self.process.stdout is None:
            raise anyio.EndOfStream
        output = BufferedByteReceiveStream(self.process.stdout)
        return (await output.receive_until(b"\n", ADDRESS_BYTES)).decode()

    async def listen(self) -> None:
        """Keep the last lines of its standard error, until it ends."""
        if self.process.stderr is None:
            return
        rest = b""
        async for data in self.process.stderr:
            *lines, rest = (rest + data).split(b"\n")
            self.said.extend(line.decode(errors="replace") for line in lines)


class _LocalCluster:
    """The processes of a cluster.

    Attributes:
        address: of its scheduler.
    """

    def __init__(self, options: DaskOptions, security: TlsFiles, log: Callable[[str, str], None]) -> None:
        self.address = ""
        self._options, self._security, self._log = options, security, log
        self._children: set[_Child] = set()
        self._ending = anyio.Event()

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start all processes; return when the scheduler has its address."""
        scheduler = await self._start(tasks, "scheduler", SchedulerRole(self._security))
        workers = [
            await self._start(tasks, name, self._role(name))
            for name in (f"worker-{number}" for number in range(1, self._options.workers + 1))
        ]
        try:
            with anyio.fail_after(self._options.connect_within):
                self.address = await scheduler.first_line()
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead):
            raise ExecutorError(
                "the scheduler of the local cluster did not start: "
                + (" ".join(scheduler.said) or "it is silent"),
                code="AF815",
            ) from None
        for worker in workers:
            await worker.tell(self.address.encode())
            tasks.start_soon(self._keep, tasks, worker)

    async def end(self) -> None:
        """Let all processes end, the workers before the scheduler."""
        self._ending.set()
        workers = [child for child in self._children if child.name != "scheduler"]
        for children in (workers, self._children - set(workers)):
            for child in children:
                _signal(child.process.terminate)
            with anyio.move_on_after(END_SECONDS):
                for child in children:
                    await child.process.wait()
            for child in children:
                _signal(child.process.kill)
            with anyio.move_on_after(KILL_SECONDS):
                for child in children:
                    await child.process.wait()
                    await child.process.aclose()

    async def _keep(self, tasks: anyio.abc.TaskGroup, worker: _Child) -> None:
        """Start another worker whenever this one ends."""
        pause = PAUSE_SECONDS
        while True:
            code = await worker.process.wait()
            if self._ending.is_set():
                return
            said = f": {worker.said[-1]}" if worker.said else ""
            ended = f"{worker.name} of the local cluster has ended ({_ended(code)}){said}"
            self._log("warning", f"{ended}; it is started again")
            self._children.discard(worker)
            await worker.process.aclose()
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if self._ending.is_set():  # nobody would end another one
                return
            worker = await self._start(tasks, worker.name, self._role(worker.name))

    def _role(self, name: str) -> WorkerRole:
        return WorkerRole(
            WorkerRequest(
                address=self.address,
                threads=self._options.threads,
                name=name,
                labels=self._options.labels,
                resources=self._options.resources,
                tls=self._security,
                lost_after=self._options.lost_after,
                ends_with_stdin=True,
            )
        )

    async def _start(self, tasks: anyio.abc.TaskGroup, name: str, role: SchedulerRole | WorkerRole) -> _Child:
        process = await anyio.open_process(
            [sys.executable, "-m", "aetherflow_dask.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if isinstance(role, SchedulerRole) else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is for the engine, which ends them
        )
        child = _Child(name, process)
        self._children.add(child)
        tasks.start_soon(child.listen)
        await child.tell(msgspec.json.encode(role))
        return child


def _signal(send: Callable[[], None]) -> None:
    with suppress(ProcessLookupError):
        send()


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
