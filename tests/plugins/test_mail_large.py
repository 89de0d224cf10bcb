"""A large mail needs little memory: its files are read while they are sent."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from aetherflow_mail.smtp_connector import SmtpConnector

from aetherflow import Resource, StepError
from tests.plugins.mail_run import MailRun
from tests.polling import eventually
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

MEGABYTES = 100 if LARGE else 12
MOST_MEMORY = 8_000_000


class Sink:
    """A mail server that counts the bytes of mails and keeps none; it may lose its patience."""

    def __init__(self, most: int | None = None) -> None:
        self.bytes = 0
        self.most = most
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one mail."""
        try:
            await self._take(reader, writer)
        finally:
            writer.transport.abort()
            self.ended.set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while not (line := await reader.readline()).startswith(b"DATA"):
            assert line
            writer.write(b"250 OK\r\n")
        writer.write(b"354 send it\r\n")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            data = await reader.read(65536)
            self.bytes += len(data)
            tail = (tail + data)[-5:]
            if not data or (self.most is not None and self.bytes > self.most):
                return
        self.bytes -= 3  # the dot and its line end
        writer.write(b"250 OK\r\n")
        await reader.readline()
        writer.write(b"221 bye\r\n")
        await reader.read()


async def large_run(folder: Path, port: int) -> MailRun:
    """Return a run with a large file."""
    config = {"host": "127.0.0.1", "port": port, "starttls": False, "from_addr": "ops@example.org"}
    run = MailRun(folder, await SmtpConnector.open(Resource("post", "mail", "smtp", config, {})))
    with (run.artifacts / "large.bin").open("wb") as file:
        file.truncate(MEGABYTES * 1_000_000 + 1)
    return run


async def test_a_large_file_is_sent_in_bounded_memory(tmp_path: Path) -> None:
    sink = Sink()
    async with await asyncio.start_server(sink.serve, "127.0.0.1", 0) as server:
        run = await large_run(tmp_path, server.sockets[0].getsockname()[1])
        await run.send(subject="warm")
        sink.bytes = 0
        tracemalloc.start()
        try:
            other = MailRun(tmp_path, run.services.connectors._connectors["post"], run_id="run-2")  # type: ignore[attr-defined]  # of the test kit
            path = str(run.artifacts / "large.bin")
            outputs = await other.send(attachments=path, max_size="1GB")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert outputs["size"] == sink.bytes > MEGABYTES * 1_300_000
    assert peak < MOST_MEMORY


async def test_a_large_file_that_changes_while_it_is_sent_is_no_mail(tmp_path: Path) -> None:
    sink = Sink()
    async with await asyncio.start_server(sink.serve, "127.0.0.1", 0) as server:
        run = await large_run(tmp_path, server.sockets[0].getsockname()[1])

        async def shrink() -> None:
            await eventually(lambda: sink.bytes > 1_000_000)
            with (run.artifacts / "large.bin").open("r+b") as file:
                file.truncate(100)

        shrinking = asyncio.ensure_future(shrink())
        with pytest.raises(StepError, match=r"large\.bin changed while it was sent"):
            await run.send(attachments="large.bin", max_size="1GB")
        await shrinking
        await sink.ended.wait()

    assert sink.bytes < MEGABYTES * 1_300_000


async def test_a_server_that_ends_the_connection_in_the_middle_has_no_mail(tmp_path: Path) -> None:
    sink = Sink(most=1_000_000)
    async with await asyncio.start_server(sink.serve, "127.0.0.1", 0) as server:
        run = await large_run(tmp_path, server.sockets[0].getsockname()[1])
        with pytest.raises(StepError, match="was lost") as caught:
            await run.send(attachments="large.bin", max_size="1GB")
        await sink.ended.wait()

    assert (caught.value.code, caught.value.kind) == ("AF365", "connection")
