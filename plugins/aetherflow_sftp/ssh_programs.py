"""Programs on the host of an SSH connection, for the step `ssh.process`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from aetherflow import RemoteProgram, StepError
from aetherflow_sftp.ssh_link import SshLink

if TYPE_CHECKING:
    from asyncssh import SSHClientProcess

PIECE_BYTES = 1 << 18


@asynccontextmanager
async def started(link: SshLink, command: str) -> AsyncIterator[RemoteProgram]:
    """Start a command line on the host, in a session of its own on the open connection.

    Raises:
        StepError: the host cannot be reached, or opens no session for programs (kind "connection" if it may
            do so later).
    """
    connection = await link.connection()
    import asyncssh  # noqa: PLC0415 - an optional dependency, and slow to import

    try:
        channel, process = await connection.create_session(_process_type(), command, encoding=None)
    except asyncssh.ChannelOpenError as error:
        raise StepError(
            f"{link.config.place} opens no session for a program: {error.reason or error}",
            hint="the account may be for SFTP only, or too many sessions are open (MaxSessions of sshd)",
            kind="connection",
            code="AF363",
        ) from None
    except (OSError, asyncssh.Error) as error:
        raise StepError(
            f"the connection to {link.config.place} was lost: {error}", kind="connection", code="AF360"
        ) from None
    try:
        yield _SshProgram(process)
    finally:
        channel.close()


class _SshProgram(RemoteProgram):
    """A session with a program in it."""

    def __init__(self, process: Any) -> None:
        self._process = process

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        import asyncssh  # noqa: PLC0415 - imported already

        reader = self._process.stdout if stream == "stdout" else self._process.stderr
        try:
            data: bytes = await reader.read(PIECE_BYTES)
        except (OSError, asyncssh.Error):  # the end of the program says whether the connection was lost
            return b""
        return data

    async def write(self, data: bytes) -> None:
        import asyncssh  # noqa: PLC0415 - imported already

        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error):  # it has ended, or the connection was lost
            return

    async def write_end(self) -> None:
        if self._process.stdin.can_write_eof() and not self._process.stdin.is_closing():
            try:
                self._process.stdin.write_eof()
            except OSError:  # it has ended
                return

    async def exited(self) -> int | None:
        await self._process.ended.wait()
        if (sent := self._process.exit_signal) is not None:
            found = getattr(signal, f"SIG{sent[0]}", signal.SIGTERM)
            return -int(found)
        status: int | None = self._process.exit_status
        return None if status is None or status < 0 else status


def _process_type() -> type[SSHClientProcess[bytes]]:
    import asyncssh  # noqa: PLC0415 - an optional dependency, and slow to import

    class Process(asyncssh.SSHClientProcess[bytes]):
        """Notes when its program has ended; something else may still hold its streams open then."""

        def __init__(self) -> None:
            super().__init__()
            self.ended = asyncio.Event()

        def exit_status_received(self, status: int) -> None:
            super().exit_status_received(status)
            self.ended.set()

        def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: FBT001 - as asyncssh calls it
            super().exit_signal_received(signal, core_dumped, msg, lang)
            self.ended.set()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.ended.set()

    return Process
