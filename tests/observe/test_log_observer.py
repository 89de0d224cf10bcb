"""The log observer: batches in, whole records out, one error when nobody reads."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC
from typing import Any

import anyio
import msgspec
import pytest

from aetherflow.errors import ErrorInfo, UsageError
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunPersisted,
    RunStarted,
    StepFinished,
    StepOutput,
)
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.observe.log import Format, LogObserver
from aetherflow.observe.sink import Sink
from tests.observe.demo_run import AT


def a_failed_run(run_id: str = "r1") -> list[Event]:
    run: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": run_id}
    step: dict[str, Any] = {**run, "job_id": "a", "step_id": "s", "step_type": "external.process"}
    return [
        RunStarted(**run, flow_file="demo.yaml", owner="host:1"),
        RunPersisted(**run, state="/var/state.sqlite"),
        Notice(**run, level="debug", message="planned"),
        JobStarted(**run, job_id="a"),
        StepOutput(**step, stream="stdout", text="working"),
        StepFinished(
            **step,
            status="FAILED",
            duration_seconds=0.5,
            outputs={"exit_code": 3},
            error=ErrorInfo(code="AF730", message="exit code 3"),
        ),
        JobFinished(**run, job_id="a", status="FAILED", reason="step s failed"),
        JobFinished(**run, job_id="b", status="BLOCKED", reason="a FAILED"),
        RunFinished(**run, status="FAILED", duration_seconds=0.7, jobs={"FAILED": 1, "BLOCKED": 1}),
    ]


async def logged(events: list[Event], *, format: Format, level: str = "info") -> str:  # noqa: A002 - as the observer
    stream = io.StringIO()
    observer = LogObserver(stream, format=format, level=level, zone=UTC)
    await observer(events)
    await observer.aclose()
    return stream.getvalue()


@pytest.mark.asyncio
async def test_a_run_reads_like_a_story() -> None:
    assert await logged(a_failed_run(), format="text") == (
        "22:14:03 INFO  run r1 of demo  started at 2026-01-02T22:14:03Z: demo.yaml\n"
        "22:14:03 INFO  a  started\n"
        "22:14:03 INFO  a.s | working\n"
        "22:14:03 ERROR a.s  external.process FAILED in 0.50 s: AF730: exit code 3\n"
        "22:14:03 ERROR a  FAILED: step s failed\n"
        "22:14:03 WARN  b  BLOCKED: a FAILED\n"
        "22:14:03 ERROR run r1 of demo  failed: a.s (external.process): AF730: exit code 3\n"
        "22:14:03 ERROR run r1 of demo  resume: aetherflow runs retry r1 --state /var/state.sqlite\n"
        "22:14:03 ERROR run r1 of demo  FAILED in 0.70 s; jobs: 1 FAILED, 1 BLOCKED; steps: none\n"
    )


@pytest.mark.asyncio
async def test_json_is_one_object_per_line_and_one_summary_at_the_end() -> None:
    records = [json.loads(line) for line in (await logged(a_failed_run(), format="json")).splitlines()]

    assert [r["event"] for r in records] == [
        "run_started",
        "job_started",
        "step_output",
        "step_finished",
        "job_finished",
        "job_finished",
        "run_summary",
    ]
    assert {(r["flow_id"], r["run_id"]) for r in records} == {("demo", "r1")}
    assert list(records[3])[:10] == [
        "schema",
        "timestamp",
        "level",
        "event",
        "message",
        "flow_id",
        "run_id",
        "job_id",
        "step_id",
        "step_type",
    ]
    assert records[-1]["jobs"] == {"FAILED": 1, "BLOCKED": 1}
    assert records[-1]["resume"] == "aetherflow runs retry r1 --state /var/state.sqlite"


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", 9),
        ("INFO", 7),
        ("warning", 4),
        ("Error", 3),
    ],
)
@pytest.mark.asyncio
async def test_the_level_leaves_out_what_matters_less(level: str, events: int) -> None:
    assert len((await logged(a_failed_run(), format="json", level=level)).splitlines()) == events


@pytest.mark.asyncio
async def test_people_see_outputs_at_debug_only_and_a_record_is_the_same_at_every_level() -> None:
    (at_error, _, _) = (await logged(a_failed_run(), format="json", level="error")).splitlines()
    assert at_error in (await logged(a_failed_run(), format="json", level="debug")).splitlines()
    assert json.loads(at_error)["outputs"] == {"exit_code": 3}
    assert 'outputs: {"exit_code":3}' in await logged(a_failed_run(), format="text", level="debug")
    assert 'exit_code":' not in await logged(a_failed_run(), format="text", level="info")


def test_an_unknown_level_is_refused_with_the_levels_there_are() -> None:
    with pytest.raises(UsageError, match="unknown log level 'loud'") as caught:
        LogObserver(io.StringIO(), format="text", level="loud")
    assert caught.value.hint == "use one of debug, info, warning, error"


@pytest.mark.asyncio
async def test_two_runs_in_one_log_keep_their_failures_apart() -> None:
    stream = io.StringIO()
    sink = Sink()
    observers = [LogObserver(stream, sink=sink, format="text", level="error", zone=UTC) for _ in range(2)]
    first, second = a_failed_run("one"), a_failed_run("two")

    for pair in zip(first, second, strict=True):
        for observer, event in zip(observers, pair, strict=True):
            await observer([event])

    assert stream.getvalue().count("failed: a.s") == 2


@pytest.mark.asyncio
async def test_a_batch_reaches_the_reader_before_the_call_returns() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "w", encoding="utf-8") as write:
        await LogObserver(write, format="text", level="info", zone=UTC)(a_failed_run()[:1])

        assert os.read(read.fileno(), 1000).endswith(b"demo.yaml\n")


@pytest.mark.asyncio
async def test_a_reader_that_left_is_one_clear_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    observer = LogObserver(stream, format="json", level="info")

    with pytest.raises(OutputLostError, match=r"nobody reads the output any more \(broken pipe\)") as caught:
        await observer(a_failed_run())

    assert caught.value.code == "AF810"
    assert caught.value.hint
    await observer.aclose()
    with pytest.raises(BrokenPipeError):
        stream.close()  # what the stream still holds has no reader either


@pytest.mark.asyncio
async def test_a_full_disk_is_an_error_with_its_reason() -> None:
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", encoding="utf-8") as stream:
        with pytest.raises(OutputLostError, match=r"cannot write to .*: No space left on device"):
            await LogObserver(stream, format="text", level="info")(a_failed_run())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@pytest.mark.asyncio
async def test_a_closed_stream_is_reported_as_lost() -> None:
    stream = io.StringIO()
    stream.close()

    with pytest.raises(OutputLostError, match="it is closed"):
        await LogObserver(stream, format="text", level="info")(a_failed_run())


@pytest.mark.asyncio
async def test_an_old_locale_gets_escapes_instead_of_no_log() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    event = Notice(at=AT, flow_id="demo", run_id="r1", level="info", message="Grüße")

    await LogObserver(stream, format="text", level="info", zone=UTC)([event])

    assert raw.getvalue() == b"22:14:03 INFO  Gr\\xfc\\xdfe\n"


@pytest.mark.asyncio
async def test_text_that_is_no_unicode_is_logged_with_escapes() -> None:
    event = Notice(at=AT, flow_id="demo", run_id="r1", level="info", message="file \udc80.csv")

    line = await logged([event], format="json")

    assert json.loads(line)["message"] == "file \udc80.csv"
    assert line.isascii()


@pytest.mark.asyncio
async def test_a_reader_that_stalls_does_not_hold_a_cancelled_run_and_loses_nothing() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "w", encoding="utf-8") as write:
        observer = LogObserver(write, format="json", level="info")
        # Far more than a pipe holds, so the write blocks until somebody reads.
        many: list[Event] = [
            Notice(at=AT, flow_id="demo", run_id="r1", level="info", message=f"{number} " + "x" * 1000)
            for number in range(500)
        ]

        with anyio.move_on_after(0.2) as scope:
            await observer(many)
        assert scope.cancelled_caught

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(observer, [many[0]])
            lines = await anyio.to_thread.run_sync(lambda: [read.readline() for _ in range(501)])

    shown = [json.loads(line)["message"].split()[0] for line in lines]
    assert shown == [*map(str, range(500)), "0"]


def test_the_log_is_imported_without_structlog_and_rich_and_the_tree_with_little_of_it() -> None:
    code = (
        "import sys, aetherflow.observe.log, aetherflow.observe.event_stream\n"
        "names = ['structlog', 'rich', 'pygments']\n"
        "import_of_log = [name for name in names if name in sys.modules]\n"
        "import aetherflow.observe.live_tree\n"
        "names = ['structlog', 'rich.console', 'rich.text', 'pygments']\n"
        "print(import_of_log + [name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


async def shown_line(line: StepOutput, **options: Any) -> str:
    """Return how people see a line of a program in a run whose logs have a folder."""
    stream = io.StringIO()
    observer = LogObserver(stream, format="text", level="info", zone=UTC, **options)
    persisted = RunPersisted(at=AT, flow_id="demo", run_id="r1", state="/s", logs="/logs/r1")
    await observer([persisted, line])
    return stream.getvalue().removeprefix("22:14:03 INFO  a.s | ").removesuffix("\n")


def program_line(text: str, more_bytes: int = 0) -> StepOutput:
    step: dict[str, Any] = {"job_id": "a", "step_id": "s", "step_type": "external.process"}
    run: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": "r1"}
    return StepOutput(**run, **step, stream="stdout", text=text, more_bytes=more_bytes)


@pytest.mark.parametrize(
    ("text", "more", "seen"),
    [
        ("x" * 20, 0, "x" * 20),
        ("x" * 21, 0, "x" * 20 + " ... (1 more bytes, whole in /logs/r1/a/s.1.log)"),
        ("x" * 18 + "üüü", 0, "x" * 18 + "üü ... (2 more bytes, whole in /logs/r1/a/s.1.log)"),
        ("x" * 30, 200_000_000, "x" * 20 + " ... (200000010 more bytes, whole in /logs/r1/a/s.1.log)"),
    ],
)
@pytest.mark.asyncio
async def test_a_long_line_of_a_program_is_cut_with_the_file_that_has_all_of_it(
    text: str, more: int, seen: str
) -> None:
    assert await shown_line(program_line(text, more), line_characters=20) == seen


@pytest.mark.parametrize(
    ("text", "coloured", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m end", "\x1b[1;31mred\x1b[0m end\x1b[0m", "red end"),
        ("\x1b[32mgreen", "\x1b[32mgreen\x1b[0m", "green"),
        ("\x1b[38;2;1;2;3mmany", "\x1b[38;2;1;2;3mmany\x1b[0m", "many"),
        ("\x1b[2J\x1b[Hgone\x1b]0;t\x07", "gone\\x1b]0;t\\x07", "gone\\x1b]0;t\\x07"),
        ("\x1b[31mab\x1b[5Ac\x1b[?25l", "\x1b[31mabc\x1b[0m", "abc"),
        ("\x1b[\x1b[0m31mnested", "\\x1b[\x1b[0m31mnested\x1b[0m", "\\x1b[31mnested"),
    ],
)
@pytest.mark.asyncio
async def test_only_colours_pass_to_a_terminal_and_none_elsewhere(
    text: str, coloured: str, plain: str
) -> None:
    assert await shown_line(program_line(text), colours=True) == coloured
    assert await shown_line(program_line(text)) == plain


@pytest.mark.asyncio
async def test_a_coloured_line_is_cut_by_what_is_seen_of_it() -> None:
    line = program_line("\x1b[31m" + "r" * 15 + "\x1b[32m" + "g" * 15)

    seen = await shown_line(line, colours=True, line_characters=20)

    assert seen.startswith("\x1b[31m" + "r" * 15 + "\x1b[32mggggg\x1b[0m ... (")


@pytest.mark.asyncio
async def test_a_line_that_is_still_written_over_is_no_line_of_the_log() -> None:
    line = msgspec.structs.replace(program_line("50 %"), is_unfinished=True)
    assert await shown_line(line) == ""
    assert await logged([line], format="text", level="debug") == ""
