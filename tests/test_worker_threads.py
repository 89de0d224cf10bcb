"""Blocking work has threads by purpose: none of it waits for the 40 that anyio gives to everything."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

import aetherflow
from aetherflow.worker_threads import WorkerThreads
from tests.polling import eventually

ROOT = Path(aetherflow.__file__).parent
PLUGINS = ROOT.parent / "plugins"


def calls_without_limiter(file: Path) -> list[str]:
    """Return where a file calls `anyio.to_thread.run_sync` with the default limiter."""
    return [
        f"{file.relative_to(ROOT.parent)}:{node.lineno}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "anyio.to_thread.run_sync"
        and "limiter" not in {keyword.arg for keyword in node.keywords}
    ]


def test_nothing_of_ours_uses_the_threads_that_all_code_of_a_process_shares() -> None:
    files = [*ROOT.rglob("*.py"), *PLUGINS.rglob("*.py")]
    assert len(files) > 100
    assert [place for file in files for place in calls_without_limiter(file)] == []


@pytest.mark.asyncio
async def test_one_purpose_does_not_wait_for_another_and_has_its_own_limit() -> None:
    released = threading.Event()
    began: list[int] = []
    slow, quick = WorkerThreads("slow", 2), WorkerThreads("quick", 1)

    def block(number: int) -> None:
        began.append(number)
        released.wait(30)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(slow.run, block, number)
        assert await eventually(lambda: len(began) == 2)
        with anyio.fail_after(20):
            assert await quick.run(len, "abc") == 3
        await anyio.wait_all_tasks_blocked()
        assert len(began) == 2
        released.set()
    assert len(began) == 3


@pytest.mark.asyncio
async def test_a_cancelled_caller_leaves_its_thread_behind_only_if_it_may() -> None:
    released, ended = threading.Event(), threading.Event()
    threads = WorkerThreads("left behind", 1)

    def block() -> None:
        anyio.from_thread.run_sync(scope.cancel)
        released.wait(30)
        ended.set()

    with anyio.CancelScope() as scope:
        await threads.run(block, abandon_on_cancel=True)
    assert not ended.is_set()
    released.set()
    assert await threads.run(ended.wait, 20)  # its turn comes when the thread left behind has ended
