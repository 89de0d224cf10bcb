"""The port for executors: where attempts of steps run, in this process or on workers of a cluster.

An executor carries opaque messages between two parties that do not know how they travel. On the side of the
engine that is an `ExecutorAttempt`; on the worker it is an `aetherflow.worker.attempt.AttemptOnWorker`. The
engine decides everything: whether a start may begin, whether an answer counts, whether a file gets its final
name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import Meta

from aetherflow.sdk.checks import CheckResult

Send = Callable[[bytes], None]
"""Passes a message to the other side, in order; returns at once. May be called from any thread."""


IS_FILE = "file"
"""The key in `Meta(extra=...)` of a text that is a path in options."""

OptionPath = Annotated[str, Meta(extra={IS_FILE: True})]
"""A path in options, or the text of a PEM file; a relative one starts at the folder of its file."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worker on which an attempt runs.

    Attributes:
        worker: its name in the cluster.
        host: the host that it runs on.
        process_id: its process there.
    """

    worker: str
    host: str
    process_id: int = 0


class Needs(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker must offer so that an attempt may run there.

    Attributes:
        resources: how much of each resource the attempt takes while it runs, by name.
        label: a label that the worker must have; empty: any worker.
    """

    resources: Mapping[str, float] = {}
    label: str = ""


class WorkerFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker is and offers, as it says itself.

    Attributes:
        threads: how many attempts it runs at once.
        python: the version of Python.
        aetherflow: the version of AetherFlow.
        plugins: the version of each plugin, by the name of its distribution or file.
        resources: how much of each resource it offers.
        labels: its labels, which `runs_on` names.
    """

    place: Place
    threads: int
    python: str = ""
    aetherflow: str = ""
    plugins: Mapping[str, str] = {}
    resources: Mapping[str, float] = {}
    labels: Collection[str] = ()


class ExecutorAttempt(Protocol):
    """One attempt of a step, as the engine gives it to an executor.

    Attributes:
        key: the fencing token: the same for the same attempt of the same run, different for every other one.
        needs: what its worker must offer.
    """

    key: str
    needs: Needs

    def deliver(self, start: str, message: bytes, reply: Send) -> None:
        """Take a message of a worker; called on the event loop of the engine, in the order of sending.

        It takes any message, also one that comes when `run` has ended: it refuses it then, and reports that.

        Args:
            start: a random id of the start of the attempt that sent it: a cluster may start one twice, and
                the engine lets only the first of them begin.
            message: what it says.
            reply: passes messages to this start.
        """
        ...

    async def ended(self) -> None:
        """Return when the attempt has ended: its answer was accepted."""
        ...


class Shipping(msgspec.Struct, frozen=True):
    """How much is sent for an attempt, to its worker and back, each way.

    Attributes:
        bytes: of all files together.
        files: how many files, folders and links.
    """

    bytes: int = 64 * 2**20
    files: int = 10_000


class OpenExecutor(Protocol):
    """A connection to the workers of a cluster, shared by all attempts of the process that use it."""

    @property
    def slots(self) -> int:
        """How many attempts the workers run at once; 0 if unknown. It may change."""
        ...

    @property
    def joins_within(self) -> float:
        """How long a run waits at most for workers to join that offer what its steps need, in seconds.

        0 if all workers offer the same, so that another one would not help.
        """
        ...

    @property
    def ships(self) -> Shipping | None:
        """How much is sent to workers and back; None: they see the same folders as the engine."""
        ...

    async def run(self, attempt: ExecutorAttempt) -> None:
        """Let a worker run the attempt; return when it has ended.

        If a worker still has an attempt of this key, running or ended, it is joined and not started again.
        When this call is cancelled, an attempt that no worker has begun is not begun any more; one that works
        is left alone: the engine has asked it to stop before, will join it again, or refuses what it sends.
        What a worker sends later, when this call has ended in any way, is still given to
        `deliver` as long as the executor is open: a late result is refused and reported there.

        Raises:
            AttemptLost: nobody knows how it ended: its worker died, hangs or cannot be reached.
            StepError: no worker can run it, and why.
        """
        ...

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of these keys that workers still have: attempts that run, or ended unread.

        A worker that does not answer has none. `run` joins those that were found.

        Raises:
            ExecutorError: the workers cannot be reached.
        """
        ...

    async def workers(self) -> list[WorkerFacts]:
        """Return what the workers are and offer now.

        Raises:
            ExecutorError: the workers cannot be reached.
            StepError: one cannot say it.
        """
        ...

    async def ask(self, question: bytes) -> dict[str, bytes]:
        """Let every worker answer a question, by `answer_of_worker` in a thread there.

        Returns:
            the answers by the names of the workers; one that does not answer is left out.

        Raises:
            ExecutorError: the workers cannot be reached.
        """
        ...

    async def check(self) -> list[CheckResult]:
        """Check what only the executor knows: security, latency, clocks, how the cluster is set up."""
        ...


class TlsFiles(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may take part in a cluster: paths of PEM files, or the texts of such files.

    Attributes:
        ca: the certificate of the authority that signed the certificates of all participants.
        cert: the own certificate.
        key: its private key.
    """

    ca: OptionPath
    cert: OptionPath
    key: OptionPath


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `aetherflow worker` is to start.

    Attributes:
        address: of the scheduler; empty: it stands in `scheduler_file`.
        scheduler_file: a file that the scheduler writes its address to.
        threads: how many attempts it runs at once.
        name: its name in the cluster, unique there; empty: the cluster makes one up.
        labels: what `runs_on` names.
        resources: how much of each resource it offers.
        tls: its certificate; None: connections are not encrypted, and anybody may give it work.
        folder: where its attempts have their own folders.
        listen: the address that it listens on, as `tcp://10.0.0.7:9000`; empty: any port.
        contact: the address that others reach it by, if that is another one.
        memory_limit: above 80 % of it, the worker takes no further attempts, as `4GiB`; empty: no limit.
        lost_after: seconds without the scheduler after which its attempts are stopped.
        give_up_after: seconds without the scheduler after which the worker ends.
        ends_with_stdin: whether it ends when its standard input does: the process that started it is gone.
    """

    address: str = ""
    scheduler_file: str = ""
    threads: int = 1
    name: str = ""
    labels: Collection[str] = ()
    resources: Mapping[str, float] = {}
    tls: TlsFiles | None = None
    folder: str = ""
    listen: str = ""
    contact: str = ""
    memory_limit: str = ""
    lost_after: float = 30.0
    give_up_after: float = 60.0
    ends_with_stdin: bool = False


class Executor(ABC):
    """An executor plugin: registered by its name under the entry points `aetherflow.executors`.

    Attributes:
        options_type: the Struct that its options are converted to.
    """

    options_type: ClassVar[type[msgspec.Struct]]

    @abstractmethod
    def open(
        self, options: Any, log: Callable[[str, str], None]
    ) -> AbstractAsyncContextManager[OpenExecutor]:
        """Connect to the workers for the length of a block, and start them if the options say so.

        Args:
            options: of `options_type`.
            log: shows a line, given as its level and its text.

        Raises:
            ConfigError: the options cannot be used.
            ExecutorError: the workers cannot be reached; the same may succeed later.
        """
        ...

    def check(self, options: Any) -> list[CheckResult]:
        """Check options without connecting to anything, for `validate` and before a run.

        Args:
            options: of `options_type`.

        Returns:
            An error forbids the run, a warning is shown.

        Raises:
            MissingExtra: a package that the executor needs is not installed.
            ConfigError: the executor cannot be used here.
        """
        del options
        return []

    def serve(self, request: WorkerRequest, log: Callable[[str, str], None]) -> int:
        """Run a worker until it is asked to stop (SIGTERM, SIGINT), and return the exit code; blocking.

        Args:
            request: what to start.
            log: shows a line, given as its level and its text.

        Raises:
            ConfigError: the request cannot be used, or this executor has no workers of its own.
            ExecutorError: the scheduler cannot be reached.
        """
        raise NotImplementedError
