"""The end of a program and its first output are waited for together, if that is possible."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import anyio
import pytest

from aetherflow.process.run_process import run_process
from aetherflow.process.spawn import Program


async def run(folder: Path, script: str) -> tuple[int, list[bytes]]:
    """Run a shell script; return its exit code and the pieces of its output, in order."""
    pieces: list[bytes] = []

    async def take(data: bytes, *, last: bool = False) -> None:
        del last
        pieces.append(data)

    program = Program(("sh", "-c", script), folder, {"PATH": os.environ["PATH"]})
    with anyio.fail_after(60):
        end = await run_process(program, run_id="r", sinks={"stdout": take, "stderr": take})
    return end.exit_code, [piece for piece in pieces if piece]


@pytest.mark.asyncio
async def test_what_a_program_prints_before_an_error_is_read_first(tmp_path: Path) -> None:
    for _ in range(10):
        assert await run(tmp_path, "echo 1; echo 2 >&2") == (0, [b"1\n", b"2\n"])


@pytest.mark.asyncio
async def test_with_too_many_open_files_the_end_and_the_output_are_waited_for_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(select, "epoll", too_many)
        assert await run(tmp_path, "exit 5") == (5, [])
        assert await run(tmp_path, "echo 1; exit 6") == (6, [b"1\n"])
