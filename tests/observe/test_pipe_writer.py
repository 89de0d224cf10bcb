"""Named pipes as event streams: readers that come late, leave in a line, come back, or never read."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aetherflow.observe import pipe_writer
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.observe.pipe_writer import PipeWriter
from tests.polling import wait_until


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "events"
    os.mkfifo(path)
    return path


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end wait long for a reader that is there, as a busy machine may need."""
    monkeypatch.setattr(pipe_writer, "CLOSING_SECONDS", 30.0)


class Reader:
    """Reads a pipe in pieces, as its owner wants."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.got = b""

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""

        def has_all() -> bool:
            try:
                self.got += os.read(self.descriptor, size - len(self.got))
            except BlockingIOError:
                return False
            return len(self.got) == size

        wait_until(has_all)
        got, self.got = self.got, b""
        return got

    def leave(self) -> None:
        os.close(self.descriptor)


def numbered(first: int, last: int, size: int = 100) -> bytes:
    return b"".join(b"%0*d\n" % (size - 1, number) for number in range(first, last))


@pytest.mark.usefixtures("patient")
def test_a_reader_that_comes_late_gets_what_waits_and_then_the_rest(pipe: Path) -> None:
    writer = PipeWriter(pipe)
    writer.write(numbered(0, 10))

    reader = Reader(pipe)
    assert reader.read(1000) == numbered(0, 10)
    writer.write(numbered(10, 20))
    writer.close()
    assert reader.read(1000) == numbered(10, 20)
    assert writer.lost == 0


@pytest.mark.usefixtures("patient")
def test_a_reader_that_leaves_in_a_line_and_the_next_one_get_whole_lines_and_all_of_them(pipe: Path) -> None:
    """The next one gets again what the first left: what waits in the pipe, and a long line in pieces."""
    lines = numbered(0, 50) + numbered(50, 52, 100_000) + numbered(52, 60)
    writer = PipeWriter(pipe)
    writer.write(lines)
    first = Reader(pipe)
    assert first.read(1250) == lines[:1250]
    first.leave()
    wait_until(lambda: writer._pipe < 0)

    second = Reader(pipe)
    assert second.read(100_000) == lines[1200:101_200]
    second.leave()
    wait_until(lambda: writer._pipe < 0)

    third = Reader(pipe)
    rest = lines[5000:]
    assert third.read(len(rest)) == rest
    writer.close()
    assert writer.lost == 0


def test_without_a_reader_nothing_waits_the_newest_lines_are_held_and_one_warning_is_returned(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_writer, "QUEUE_BYTES", 10_000)
    monkeypatch.setattr(pipe_writer, "CLOSING_SECONDS", 0.05)
    writer = PipeWriter(pipe)

    warnings = [writer.write(numbered(at, at + 100)) for at in range(0, 1000, 100)]

    assert [bool(warning) for warning in warnings] == [False, True, *[False] * 8]
    assert f"nobody reads the pipe {pipe}" in warnings[1]
    assert writer.lost == 900
    reader = Reader(pipe)
    assert reader.read(10_000) == numbered(900, 1000)
    reader.leave()
    with pytest.raises(OutputLostError, match=f"900 events were lost: nobody read the pipe {pipe} in time"):
        writer.close()


def test_a_reader_that_reads_nothing_costs_its_patience_once(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_writer, "QUEUE_BYTES", 10_000)
    monkeypatch.setattr(pipe_writer, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(pipe_writer, "CLOSING_SECONDS", 0.2)
    reader = Reader(pipe)
    writer = PipeWriter(pipe)
    start = time.monotonic()

    for at in range(0, 10_000, 100):
        writer.write(numbered(at, at + 100))
    with pytest.raises(OutputLostError, match="events were lost"):
        writer.close()

    assert time.monotonic() - start < 20  # not the patience for each of 100 batches
    in_pipe = 10_000 - writer.lost
    assert in_pipe >= 1  # the pipe itself holds 64 KiB
    assert reader.read(in_pipe * 100) == numbered(0, in_pipe)
    reader.leave()


@pytest.mark.usefixtures("patient")
def test_a_slow_reader_loses_nothing(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_writer, "QUEUE_BYTES", 10_000)
    monkeypatch.setattr(pipe_writer, "PATIENCE_SECONDS", 30.0)
    reader = Reader(pipe)
    writer = PipeWriter(pipe)
    with ThreadPoolExecutor() as threads:
        got = threads.submit(lambda: b"".join(reader.read(1000) for _ in range(300)))
        writer.write(numbered(0, 3000))
        writer.close()
        assert got.result() == numbered(0, 3000)
    assert writer.lost == 0


def test_a_file_that_takes_the_place_of_the_pipe_is_not_written(pipe: Path) -> None:
    writer = PipeWriter(pipe)
    pipe.unlink()
    pipe.write_text("precious")
    writer.write(b"line\n")

    with pytest.raises(OutputLostError):
        writer.close()
    assert pipe.read_text() == "precious"
