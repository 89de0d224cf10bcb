"""Plugin code of several runs prints in one process: each line belongs to its own run, masked."""

from __future__ import annotations

import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import plugin_output
from aetherflow.events.run_events import Notice, StepOutput
from aetherflow.redaction import Redactor
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.testing import FlowRun, run_flow, run_step

show = print  # as plugin code does; this code itself has nothing to print

FLOW = """
version: 1
flow: {id: f, params: {api_token: {type: string}}}
jobs:
  - {id: a, steps: [{id: s, type: talks, inputs: {text: "{{params.api_token}}"}}]}
"""


@step("talks")
async def talks(context: StepContext, inputs: dict[str, Any]) -> None:
    """Print in turn with the other runs, in the loop and in threads of both kinds."""
    for number in range(5):
        show(context.run_id, number, inputs["text"])
        await anyio.sleep(0.01)
        await context.run_sync(print, context.run_id, "in a worker", inputs["text"])
        thread = threading.Thread(target=print, args=(context.run_id, "in a thread", inputs["text"]))
        thread.start()
        await context.run_sync(thread.join)
    logging.getLogger("library").warning("%s %s", context.run_id, inputs["text"])


async def runs_of(folder: Path, number: int, kind: StepType) -> dict[str, FlowRun]:
    """Run a flow several times at once, each with a secret of its own."""
    found: dict[str, FlowRun] = {}

    async def one(run_id: str) -> None:
        place = folder / run_id
        place.mkdir()
        params = {"api_token": f"secret-of-{run_id}"}
        found[run_id] = await run_flow(FLOW, place, steps=[kind], run_id=run_id, params=params)

    async with anyio.create_task_group() as tasks:
        for index in range(number):
            tasks.start_soon(one, f"run{index}")
    return found


@pytest.mark.asyncio
async def test_each_line_belongs_to_the_run_that_printed_it(tmp_path: Path) -> None:
    with plugin_output.captured():
        runs = await runs_of(tmp_path, 4, talks)

    for run_id, run in runs.items():
        lines = [event.text for event in run.seen.of(StepOutput)]
        expected = [
            f"{run_id} {what} ***" for number in range(5) for what in (number, "in a worker", "in a thread")
        ]
        assert lines == expected
        assert [note.message for note in run.seen.of(Notice) if note.step_id] == [f"library: {run_id} ***"]


@pytest.mark.asyncio
async def test_where_nothing_is_captured_prints_go_where_they_always_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alone").mkdir()
    await run_step(talks, {"text": "hello"}, tmp_path / "alone")
    alone = capsys.readouterr().out
    runs = await runs_of(tmp_path, 1, talks)

    assert alone.count("hello") == 15
    assert capsys.readouterr().out.count("secret-of-run0") == 15
    assert [record.message for record in caplog.records if record.name == "library"] == [
        "run-1 hello",
        "run0 secret-of-run0",
    ]
    assert runs["run0"].seen.of(StepOutput) == []


def test_what_is_held_back_is_masked_by_what_was_learned_meanwhile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    redactor = Redactor()
    with plugin_output.captured():
        with plugin_output.held_back(redactor):
            show("the key is canary-canary", end="")
            logging.getLogger("x").error("canary-canary")
            for number in range(2 * plugin_output.MOST_HELD):
                show(number)
            redactor.add("canary-canary")
        show("after")

    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert "error: x: ***" in lines
    assert "the key is ***0" in lines
    assert lines[-2:] == ["warning: 1001 more lines of plugins are not shown", "after"]


def test_the_streams_are_those_of_before_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr, threading.Thread.start, logging.root.level, len(logging.root.handlers)
    with plugin_output.captured():
        kept = sys.stdout
        assert plugin_output.real_stdout() is before[0]
        with plugin_output.captured():
            assert plugin_output.real_stdout() is before[0]
        stream: Any = sys.stdout
        with pytest.raises(io.UnsupportedOperation):
            stream.buffer.detach()
        with pytest.raises(TypeError, match="must be str"):
            stream.write(b"x")
        sys.stdout.close()
        assert not sys.stdout.closed
    after = sys.stdout, sys.stderr, threading.Thread.start, logging.root.level, len(logging.root.handlers)
    kept.write("written later\n")

    assert after == before
    assert "written later" in capsys.readouterr().out


def test_a_very_long_record_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with plugin_output.captured():
        logging.getLogger("x").error("y" * 200_000)

    assert capsys.readouterr().err.rstrip().endswith("yyy ... (200003 characters)")
