"""A Dask cluster of real processes on loopback, whose workers and networks can be made to fail.

    with Cluster(tmp_path) as cluster:
        first = cluster.start_worker("first", threads=2)
        far = cluster.start_worker("far", network=True)     # all that it sends and gets passes two proxies
        ...                                                 # run something with cluster.address
        first.kill()
        far.network.pause()

Everything that was started ends with the block, also when a test fails or is killed: the processes carry a
mark in their environment, which their children inherit, and die with the thread that started them. So start
workers from the main thread of a test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distributed.core import rpc

from tests.polling import wait_until
from tests.servers.ends_with_tests import ENDS_WITH_THE_TESTS
from tests.servers.free_port import free_port
from tests.servers.tcp_proxy import TcpProxy

DASK = Path(sys.executable).with_name("dask")
AETHERFLOW = Path(sys.executable).with_name("aetherflow")
CHILD = b"aetherflow_dask.child"
"""What the command line of a process says that runs attempts."""
MARK = "TESTS_DASK_CLUSTER"
SECONDS = 60.0
"""How long anything here may take; far more than it needs."""


class Network:
    """The two proxies between a worker and the scheduler: each of them connects to the other one.

    Attributes:
        to_scheduler: what the worker calls the scheduler.
        to_worker: what the scheduler calls the worker.
    """

    def __init__(self, scheduler_port: int, worker_port: int) -> None:
        self.to_scheduler = TcpProxy(scheduler_port)
        self.to_worker = TcpProxy(worker_port)

    @property
    def passed(self) -> int:
        """How many bytes have gone in any direction."""
        return sum(proxy.up + proxy.down for proxy in self._both)

    def cut(self) -> None:
        """Cut what is open; new connections are accepted."""
        for proxy in self._both:
            proxy.cut()

    def unplug(self) -> None:
        """Cut what is open, and refuse new connections until `heal`."""
        for proxy in self._both:
            proxy.refuse()
            proxy.cut()

    def pause(self) -> None:
        """Swallow everything until `heal`, without a word to anybody: a black hole."""
        for proxy in self._both:
            proxy.pause()

    def heal(self) -> None:
        """Be a good network again."""
        for proxy in self._both:
            proxy.heal()

    @property
    def _both(self) -> tuple[TcpProxy, TcpProxy]:
        return self.to_scheduler, self.to_worker


class WorkerProcess:
    """A worker of the cluster: a process that runs attempts, and the one that starts it again when it dies.

    Attributes:
        name: its name in the cluster.
        process: the process that was started.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], network: Network | None) -> None:
        self.name = name
        self.process = process
        self._network = network

    @property
    def network(self) -> Network:
        """What is between the worker and the scheduler."""
        assert self._network is not None, "it was started without one"
        return self._network

    @property
    def pid(self) -> int:
        """The process that runs attempts now."""
        return next((pid for pid in family(self.process.pid) if _runs(pid, CHILD)), self.process.pid)

    @property
    def lives(self) -> bool:
        """Whether the process that was started has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the process that runs attempts, as the system does when memory is short; it is dead then."""
        pid = self.pid
        _signal([pid], signal.SIGKILL)
        if pid == self.process.pid:
            self.process.wait(SECONDS)
        wait_until(lambda: not lives(pid), "it does not die", SECONDS)

    def kill_starter(self) -> None:
        """Kill the process that was started; return when it is dead."""
        self.process.kill()
        self.process.wait(SECONDS)

    def kill_tree(self) -> None:
        """Kill it with all its children at once, as a machine that loses power; return when it is dead."""
        _signal(family(self.process.pid), signal.SIGKILL)
        self.process.wait(SECONDS)

    def hang(self) -> None:
        """Stop the process that runs attempts (SIGSTOP), but not its children."""
        _signal([self.pid], signal.SIGSTOP)

    def hang_tree(self) -> None:
        """Stop it and all its children, as a virtual machine that is paused."""
        _signal(family(self.process.pid), signal.SIGSTOP)

    def wake(self) -> None:
        """Let it and its children go on after `hang` or `hang_tree`."""
        _signal(family(self.process.pid), signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, as an operator or a service manager does."""
        self.process.terminate()

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        return self.process.wait(SECONDS)


class Cluster:
    """A scheduler and workers; use it in a `with` block.

    Attributes:
        folder: for what the processes say and write.
        port: where the scheduler listens, also after it was started again.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Take a folder for logs and files, and variables for the processes beside a bare environment."""
        self.folder = folder
        self.port = free_port()
        self.mark = uuid.uuid4().hex
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DASK_CONFIG": str(folder / "dask-config"),
            "DASK_TEMPORARY_DIRECTORY": str(folder / "dask"),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
            **(environment or {}),
            MARK: self.mark,
        }
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, WorkerProcess] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ends = ExitStack()

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return f"tcp://127.0.0.1:{self.port}"

    def through(self, proxy: TcpProxy) -> str:
        """Return the address of the scheduler through a proxy."""
        return f"tcp://127.0.0.1:{proxy.port}"

    def start_scheduler(self) -> None:
        """Start the scheduler, or another one in its place; return when it answers."""
        self._scheduler = self._start(
            "scheduler", DASK, "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        scheduler = self._scheduler
        wait_until(
            lambda: scheduler.poll() is not None or self._identity() is not None, "no scheduler", SECONDS
        )
        assert scheduler.poll() is None, self.said("scheduler")

    def kill_scheduler(self) -> None:
        """Kill the scheduler; return when it is dead."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait(SECONDS)

    def hang_scheduler(self) -> None:
        """Stop the scheduler (SIGSTOP)."""
        assert self._scheduler is not None
        self._scheduler.send_signal(signal.SIGSTOP)

    def wake_scheduler(self) -> None:
        """Let the scheduler go on."""
        assert self._scheduler is not None
        self._scheduler.send_signal(signal.SIGCONT)

    def start_worker(
        self,
        name: str,
        *,
        threads: int = 2,
        network: bool = False,
        plain: bool = False,
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> WorkerProcess:
        """Start a worker; return when the cluster has it, unless `wait` says otherwise.

        Args:
            name: its name; one of this name must have ended before.
            threads: how many attempts it runs at once.
            network: whether all that passes between it and the scheduler goes through proxies.
            plain: whether it is a worker of Dask alone, which runs no attempts of steps.
            options: more options of its command.
            environment: more variables.
            wait: whether to return only when it is connected.
        """
        between: Network | None = None
        port = free_port()
        words = ["--name", name, "--nthreads", str(threads)]
        words += ["--listen-address", f"tcp://127.0.0.1:{port}"]
        if network:
            between = Network(self.port, port)
            self._ends.enter_context(between.to_scheduler)
            self._ends.enter_context(between.to_worker)
            words += ["--contact-address", self.through(between.to_worker)]
        scheduler = self.address if between is None else self.through(between.to_scheduler)
        program = [AETHERFLOW]
        if plain:
            program, words = [DASK], [*words, "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        process = self._start(
            name, *program, "worker", scheduler, *words, *options, environment=environment or {}
        )
        worker = self._workers[name] = WorkerProcess(name, process, between)
        if wait:
            self.wait_for([name])
        return worker

    def wait_for(self, names: Collection[str]) -> None:
        """Return when the cluster has these workers, by their names."""

        def are_there() -> bool:
            for name in names:
                assert self._workers[name].lives, self.said(name)
            return set(names) <= self.connected()

        wait_until(are_there, f"the workers {sorted(names)} did not connect", SECONDS)

    def wait_until_gone(self, name: str) -> None:
        """Return when the scheduler knows that a worker is gone."""
        wait_until(lambda: name not in self.connected(), f"the scheduler still has {name}", SECONDS)

    def connected(self) -> set[str]:
        """Return the names of the workers that the scheduler has now; none if it does not answer."""
        found = self._identity() or {}
        return {str(worker["name"]) for worker in found.get("workers", {}).values()}

    def said(self, name: str) -> str:
        """Return what the process of this name has said: a worker, or `scheduler`."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def left(self) -> set[int]:
        """Return the living programs of steps, and what they left behind: all that is no part of a worker."""
        known = {process.pid for process in self._processes if process.poll() is None}
        found = carrying(MARK, self.mark) - known
        return {pid for pid in found if not _runs(pid, CHILD)}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.start_scheduler()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(SECONDS)
        _signal(carrying(MARK, self.mark), signal.SIGKILL)
        self._ends.close()

    def _start(
        self, name: str, *words: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*ENDS_WITH_THE_TESTS, *words],
                cwd=self.folder,
                env=self._environment | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _identity(self) -> dict[str, Any] | None:
        """Ask the scheduler who it is and which workers it has; in a thread, as a test may have a loop."""
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            async with rpc(self.address, timeout=5) as scheduler:  # type: ignore[no-untyped-call]  # of Dask
                answers.append(await asyncio.wait_for(scheduler.identity(n_workers=-1), 5))

        def work() -> None:
            with suppress(OSError, TimeoutError):
                asyncio.run(ask())

        thread = threading.Thread(target=work, name="ask the scheduler")
        thread.start()
        thread.join()
        return answers[0] if answers else None


def lives(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def carrying(name: str, value: str) -> set[int]:
    """Return the living processes in whose environment a variable has this value; zombies are dead."""
    wanted, found = f"{name}={value}".encode(), set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def family(pid: int) -> list[int]:
    """Return a process and all its descendants, it first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _runs(pid: int, word: bytes) -> bool:
    """Whether a word stands in the command line of a process."""
    try:
        return word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
