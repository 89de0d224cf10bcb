"""How fast programs are started, beside `xargs -P8` in the same minute."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

import anyio
import pytest

from tests.steps.process_context import process_context, run_step

COUNT, PARALLEL, ROUNDS = 100, 8, 3


async def ours(folder: Path) -> list[int]:
    context = process_context(folder)
    limit = anyio.Semaphore(PARALLEL)
    codes: list[int] = []

    async def one() -> None:
        async with limit:
            codes.append((await run_step(context, command=["/bin/true"])).outputs["exit_code"])

    async with anyio.create_task_group() as tasks:
        for _ in range(COUNT):
            tasks.start_soon(one)
    return codes


def xargs() -> None:
    lines = b"x\n" * COUNT
    subprocess.run(["xargs", f"-P{PARALLEL}", "-n1", "/bin/true"], input=lines, check=True)


@pytest.mark.benchmark
@pytest.mark.asyncio
async def test_starting_many_programs_beside_xargs(tmp_path: Path) -> None:
    ratios = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        codes = await ours(tmp_path)
        between = time.perf_counter()
        await anyio.to_thread.run_sync(xargs)
        ratios.append((between - started) / (time.perf_counter() - between))
        assert codes == [0] * COUNT
    print(f"{COUNT} x /bin/true, {PARALLEL} at a time: {statistics.median(ratios):.2f} x the time of xargs")  # noqa: T201 - the result
