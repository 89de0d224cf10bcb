"""The protocol of a host that runs programs: what a connector implements for the step `ssh.process`."""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager
from typing import Literal


class RemoteProgram(abc.ABC):
    """A program that was started on another host, with its three streams."""

    @abc.abstractmethod
    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        """Return the next piece of a stream; empty at its end, or when the connection is lost."""

    @abc.abstractmethod
    async def write(self, data: bytes) -> None:
        """Write to its standard input; what comes after its end is dropped."""

    @abc.abstractmethod
    async def write_end(self) -> None:
        """Close its standard input."""

    @abc.abstractmethod
    async def exited(self) -> int | None:
        """Wait until it has ended and return its exit code: minus the number of the signal that killed it.

        None if the connection was lost: then it is not known whether it has ended.
        """


class RemoteShell(abc.ABC):
    """A connector that starts programs on another host."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """The host as messages name it."""

    @abc.abstractmethod
    def start(self, command: str) -> AbstractAsyncContextManager[RemoteProgram]:
        """Start a command line in the user's login shell there, without a terminal.

        The end of the block closes its streams.

        Raises:
            StepError: the host cannot be reached, or starts no programs.
        """
