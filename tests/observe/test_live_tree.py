"""The live tree on pseudo-terminals, read through a small screen; lines where it cannot be."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TextIO

import anyio
import anyio.lowlevel
import pytest

from aetherflow.cli.observers import ShowOptions, chosen_observers
from aetherflow.config.settings import load_settings
from aetherflow.errors import ErrorInfo
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
    StepStarted,
)
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.observe.live_tree import MOST_FAILURES, LiveTreeObserver, can_repaint
from aetherflow.ports import Observer, UsualTimes
from tests.observe.demo_run import AT, RUN
from tests.observe.screen import Screen
from tests.polling import eventually

STEP: dict[str, Any] = {**RUN, "job_id": "load", "step_id": "copy", "step_type": "external.process"}

BEGIN: list[Event] = [
    RunStarted(**RUN, flow_file="demo.yaml", owner="host:1"),
    RunPersisted(**RUN, state="/s.sqlite"),
    JobStarted(**RUN, job_id="load"),
    StepStarted(**STEP),
    StepOutput(**STEP, stream="stdout", text="10 rows"),
]
END: list[Event] = [
    StepFinished(
        **STEP,
        status="FAILED",
        duration_seconds=1,
        error=ErrorInfo(code="AF730", message="exit code 3", hint="see the log of the step"),
    ),
    JobFinished(**RUN, job_id="load", status="FAILED", reason="step copy failed"),
    RunFinished(**RUN, status="FAILED", duration_seconds=1, jobs={"FAILED": 1}, steps={"FAILED": 1}),
]


@contextmanager
def terminal(screen: Screen) -> Iterator[TextIO]:
    """Yield the program's side; what it writes has reached the screen when the block ends."""
    ours, theirs = os.openpty()

    def show() -> None:
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            shown += data
        screen.feed(shown.decode())

    reader = threading.Thread(target=show)
    reader.start()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8", closefd=True) as stream:
            yield stream
    finally:
        reader.join()
        os.close(ours)


@pytest.fixture(autouse=True)
def a_terminal_of_40_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "12")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def two_seconds_later() -> datetime:
    return AT + timedelta(seconds=2)


async def chosen(monkeypatch: pytest.MonkeyPatch, stream: TextIO, level: str = "INFO") -> Observer:
    """Return what `run` shows a run with on this standard error."""
    monkeypatch.setattr("aetherflow.cli.observers.real_stderr", lambda: stream)
    settings = load_settings({"HOME": "/", "AETHERFLOW_LOG_LEVEL": level})
    (spec,) = await chosen_observers(ShowOptions(), settings)
    return spec.make()


@pytest.mark.asyncio
async def test_the_last_screen_has_errors_above_the_tree_and_the_summary_below_it() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer(BEGIN)
        await observer(END)
        await observer.aclose()

    local = f"{AT.astimezone():%H:%M:%S}"
    assert screen.text[:5] == [
        f"{local} ERROR load.copy  external.process FAILED in 1.00 s: AF730: exit code 3",
        "demo  run r1",
        "✗ load  0.00 s  AF730: exit code 3",
        "0:00  1 of 1 job, 1 failed",
        "failed: load.copy (external.process): AF730: exit code 3",
    ]
    assert "run r1 of demo  FAILED" in " ".join(screen.text[5:])
    assert "aetherflow runs retry r1 --state /s.sqlite" in " ".join(screen.text[5:])
    assert screen.text[-1] == ""


@pytest.mark.asyncio
async def test_while_it_runs_the_tree_is_repainted_in_place() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer(BEGIN)
        await observer([Notice(**RUN, level="warning", message="disk is nearly full")])
        await observer([Notice(**RUN, level="info", message="not worth a line here")])
        await observer.aclose()

    tree = [
        "demo  run r1",
        "● load  0:02  | 10 rows",
        "0:02  0 of 1 job, 1 running",
    ]
    assert [*tree, ""] in screen.frames
    assert screen.text == [f"{AT.astimezone():%H:%M:%S} WARN  disk is nearly full", *tree, ""]


@pytest.mark.asyncio
async def test_the_clock_of_a_silent_step_moves() -> None:
    painted = threading.Event()
    calls: list[datetime] = []

    def now() -> datetime:
        calls.append(AT + timedelta(seconds=len(calls)))
        if len(calls) >= 5:
            painted.set()
        return calls[-1]

    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=now)
        await observer(BEGIN)
        assert painted.wait(30)  # no batch comes; the painter continues by itself
        await observer.aclose()

    clocks = [frame[-2] for frame in screen.frames if "running" in frame[-2]]
    assert len(set(clocks)) >= 3


@pytest.mark.asyncio
async def test_a_run_with_more_jobs_than_lines_stays_on_the_screen() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        for number in range(300):
            end = JobFinished(**RUN, job_id=f"job{number}", status="SUCCESS")
            await observer([JobStarted(**RUN, job_id=f"job{number}"), end])
        await observer([RunFinished(**RUN, status="SUCCESS", duration_seconds=1, jobs={"SUCCESS": 300})])
        await observer.aclose()

    assert max(len(frame) for frame in screen.frames) <= 12
    assert screen.text[:2] == ["demo  run r1", "✓ 300 jobs ended without a failure"]


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
@pytest.mark.asyncio
async def test_a_terminal_that_cannot_repaint_gets_lines(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        observer = await chosen(monkeypatch, stream)
        await observer(BEGIN)
        await observer.aclose()
        shown = os.read(ours, 65536).decode()
    os.close(ours)

    assert "\x1b" not in shown
    assert [line[9:] for line in shown.splitlines()] == [
        "INFO  run r1 of demo  started at 2026-01-02T22:14:03Z: demo.yaml",
        "INFO  load  started",
        "INFO  load.copy  external.process started",
        "INFO  load.copy | 10 rows",
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(("level", "is_shown"), [("INFO", True), ("ERROR", False), ("CRITICAL", False)])
async def test_the_log_level_holds_for_the_lines_above_the_tree(
    monkeypatch: pytest.MonkeyPatch, level: str, *, is_shown: bool
) -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = await chosen(monkeypatch, stream, level)
        await observer([*BEGIN, Notice(**RUN, level="warning", message="disk is nearly full")])
        await observer(END)
        await observer.aclose()

    assert any("disk is nearly full" in line for line in screen.text) is is_shown
    assert any("ERROR load.copy" in line for line in screen.text)


@pytest.mark.asyncio
async def test_what_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    observer = await chosen(monkeypatch, stream, "WARNING")

    await observer([*BEGIN, *END])
    await observer.aclose()

    assert len(stream.getvalue().splitlines()) == 6
    assert not can_repaint(stream)


def test_a_terminal_of_an_old_locale_gets_lines() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="latin-1") as stream:
        assert stream.isatty()
        assert not can_repaint(stream)
    os.close(ours)


@pytest.mark.asyncio
async def test_a_terminal_that_went_away_is_one_clear_error() -> None:
    ours, theirs = os.openpty()
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    observer = LiveTreeObserver(stream)
    await observer(BEGIN)
    os.close(ours)

    with pytest.raises(OutputLostError, match="cannot write to the terminal"):
        await observer(END)

    with suppress(OutputLostError):
        await observer.aclose()
    with suppress(OSError):
        stream.close()


@pytest.mark.asyncio
async def test_closing_before_anything_happened_is_quiet() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        await LiveTreeObserver(stream).aclose()

    assert screen.text == [""]


@pytest.mark.asyncio
async def test_in_the_background_nothing_is_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-Z and `bg` the terminal is the shell's: a picture would wipe out what the user types."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer(BEGIN)
        await observer([Notice(**RUN, level="warning", message="disk is nearly full")])
        await asyncio.sleep(0.5)
        await observer(END)
        await observer.aclose()
    assert not any("load" in line and "●" in line for frame in screen.frames for line in frame)
    local = f"{AT.astimezone():%H:%M:%S}"
    assert screen.text[0] == f"{local} WARN  disk is nearly full"
    assert "run r1 of demo  FAILED in 1.00 s; jobs: 1 FAILED; steps: 1 FAILED" in screen.text


@pytest.mark.asyncio
async def test_many_failures_are_reported_once_and_then_counted() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer(BEGIN[:2])
        for number in range(30):
            of_job = {**STEP, "job_id": f"job{number}"}
            start = [JobStarted(**RUN, job_id=f"job{number}"), StepStarted(**of_job)]
            end = StepFinished(
                **of_job, status="FAILED", error=ErrorInfo(code="AF730", message="exit code 3")
            )
            left = JobFinished(**RUN, job_id=f"job{number}", status="FAILED", reason="step copy failed")
            await observer([*start, end, left])
        await observer.aclose()

    reported = [line for line in screen.text if "ERROR" in line]
    assert len(reported) == MOST_FAILURES
    assert "further failures are counted below; aetherflow runs show r1 --state /s.sqlite shows them" in (
        screen.text
    )
    assert screen.text[-2] == "0:02  30 of 30 jobs, 30 failed"


@pytest.mark.asyncio
async def test_earlier_runs_say_how_long_it_takes() -> None:
    asked: list[tuple[str, str, str]] = []
    threads: list[threading.Thread] = []

    def look_up(*names: str) -> UsualTimes:
        asked.append((names[0], names[1], names[2]))
        threads.append(threading.current_thread())
        return UsualTimes(run=240, jobs={"load": 20})

    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later, look_up=look_up)
        await observer(BEGIN)
        assert await eventually(lambda: bool(threads))
        await anyio.to_thread.run_sync(threads[0].join, 30)
        await observer([Notice(**RUN, level="warning", message="disk is nearly full")])
        await observer.aclose()

    assert asked == [("/s.sqlite", "demo", "")]
    assert screen.text[-3:-1] == ["● load  0:02 of about 20 s  | 10 rows", "0:02  0 of 1 job, 1 running"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "coloured"), [("NO_COLOR", False), ("OTHER", True)])
async def test_no_color_takes_the_colours_and_leaves_the_tree(
    name: str, *, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer([*BEGIN, *END])
        await observer.aclose()

    assert bool(screen.colours) == coloured
    assert "✗ load  0.00 s  AF730: exit code 3" in screen.text


@pytest.mark.asyncio
async def test_after_a_stop_the_next_picture_is_below_what_the_shell_wrote() -> None:
    screen = Screen()
    with terminal(screen) as stream:
        observer = LiveTreeObserver(stream, now=two_seconds_later)
        await observer(BEGIN)
        stream.write("[1]+  Stopped\n")
        os.kill(os.getpid(), signal.SIGCONT)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()  # the loop takes the signal
        await observer([Notice(**RUN, level="warning", message="disk is nearly full")])
        await observer.aclose()

    tree = ["demo  run r1", "● load  0:02  | 10 rows", "0:02  0 of 1 job, 1 running"]
    notice = f"{AT.astimezone():%H:%M:%S} WARN  disk is nearly full"
    assert screen.text == [*tree, "[1]+  Stopped", notice, *tree, ""]
    assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
