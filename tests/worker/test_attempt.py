"""An attempt on a worker: what it says, what it asks, and when it ends."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from aetherflow import Mark, StepResult
from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution.file_messages import PublishFile
from aetherflow.execution.ports import LogLine, OutputLine, Progress
from aetherflow.execution.refused_attempts import RefusedAttempt
from aetherflow.execution.worker_messages import (
    Answer,
    Begin,
    ConfirmEffect,
    End,
    FromWorker,
    GetPackage,
    IntendEffect,
    ReadMark,
    Refuse,
    ReleaseLock,
    Request,
    Stop,
    TakeLock,
    Undo,
)
from aetherflow.ports import EffectState
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step_decorator import step
from aetherflow.worker import attempt as attempt_module
from aetherflow.worker import engine_link
from aetherflow.worker.engine_link import EngineLink
from tests.worker.engine_double import NOTHING, PATIENCE_SECONDS, PLACE, call_of, in_thread, on_worker


@step("say")
def say(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Say something and write a file."""
    context.log("hello", "warning")
    context.show_line("stderr", "line", more_bytes=3)
    context.progress(1, 2, "rows", "reading")
    context.path("made.txt").write_text("x")
    return {"n": inputs["n"], "where": str(context.artifacts), "date": context.run_date}


def asked(heard: list[Any]) -> list[Any]:
    """Return the questions, without that for the package."""
    return [one.ask for one in heard if isinstance(one, Request) and not isinstance(one.ask, GetPackage)]


def test_an_attempt_begins_says_what_its_step_says_and_ends(tmp_path: Path) -> None:
    engine, attempt = on_worker(call_of(tmp_path, "say", {"n": 3}), say)
    attempt.run()
    assert engine.heard[0] == Begin(PLACE)
    shown = [one for one in engine.heard if isinstance(one, LogLine | OutputLine | Progress)]
    assert shown == [
        LogLine("hello", "warning"),
        OutputLine("stderr", "line", 3),
        Progress(1, 2, "rows", "reading"),
    ]
    folder = tmp_path / "work" / "demo" / "a" / "run-1" / "artifacts"
    assert engine.answer.result == StepResult(outputs={"n": 3, "where": str(folder), "date": ""})
    assert engine.answer.progress_note == "1 of 2 rows (50 %), reading"
    assert (folder / "made.txt").read_text() == "x"
    assert attempt.is_over


def test_a_start_that_is_refused_does_nothing(tmp_path: Path) -> None:
    engine, attempt = on_worker(call_of(tmp_path, "say", {"n": 3}), say)
    engine.first = Refuse("another start has it")
    attempt.run()
    assert engine.heard == [Begin(PLACE)]
    assert attempt.is_over
    assert not (tmp_path / "work").exists()


def test_a_failure_is_an_answer_with_place_and_kind(tmp_path: Path) -> None:
    @step("fail")
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise StepError("no such table", kind="connection", hint="create it", detail={"table": "t"})

    engine, attempt = on_worker(call_of(tmp_path, "fail"), fail)
    attempt.run()
    assert engine.answer.error == ErrorInfo(
        "AF700", "no such table", "connection", "create it", {"table": "t"}
    )
    assert "in fail" in engine.answer.trace


def test_a_step_that_exits_or_cancels_its_task_ends_only_its_attempt(tmp_path: Path) -> None:
    @step("exit")
    async def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise SystemExit(3)

    engine, attempt = on_worker(call_of(tmp_path, "exit"), leave)
    attempt.run()
    assert engine.answer.error is not None
    assert "sys.exit(3)" in engine.answer.error.message


def test_effects_are_stored_by_the_engine_before_and_after(tmp_path: Path) -> None:
    @step("send")
    async def send(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        async with context.effect("old") as old:
            assert old.done
        async with context.effect("new", detail={"to": "x"}) as new:
            new.result = {"id": 7}
        return {"old": old.result}

    earlier = {"old": EffectState({}, True, {"id": 1})}
    engine, attempt = on_worker(call_of(tmp_path, "send"), send, effects=earlier)
    attempt.run()
    assert asked(engine.heard) == [IntendEffect("new", {"to": "x"}), ConfirmEffect("new", {"id": 7}, False)]
    assert engine.answer.result == StepResult(outputs={"old": {"id": 1}})


def test_a_refused_intent_fails_the_step_with_the_error_of_the_engine(tmp_path: Path) -> None:
    @step("send")
    def send(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        with context.effect("new"):
            context.path("sent").touch()

    engine, attempt = on_worker(call_of(tmp_path, "send"), send)
    engine.answers[IntendEffect] = ErrorInfo("AF600", "the database is locked", is_temporary=True)
    attempt.run()
    assert engine.answer.error == ErrorInfo("AF600", "the database is locked", is_temporary=True)
    assert not list(tmp_path.rglob("sent"))


def test_marks_are_read_from_the_engine_and_moved_by_the_result(tmp_path: Path) -> None:
    @step("read")
    async def read(context: StepContext, inputs: dict[str, Any]) -> StepResult:
        del inputs
        before = await context.mark("orders")
        return StepResult(outputs={"before": before and before.text}, marks={"orders": Mark.of(11)})

    engine, attempt = on_worker(call_of(tmp_path, "read"), read)
    engine.answers[ReadMark] = msgspec.to_builtins(Mark.of(10))
    attempt.run()
    assert engine.answer.error is None, engine.answer
    assert engine.answer.result == StepResult(outputs={"before": "10"}, marks={"orders": Mark.of(11)})


def test_a_lock_is_held_by_the_engine_until_the_block_ends(tmp_path: Path) -> None:
    @step("lock")
    async def lock(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.lock("k", ttl_seconds=5, wait_seconds=1):
            context.log("inside")

    engine, attempt = on_worker(call_of(tmp_path, "lock"), lock)
    attempt.run()
    heard = [one for one in engine.heard if isinstance(one, Request | LogLine)][1:]
    assert heard == [Request(2, TakeLock("k", 5, 1)), LogLine("inside"), Request(3, ReleaseLock(2))]
    assert engine.answer.result == StepResult()


@pytest.mark.parametrize("is_async", ["async", "sync"])
def test_a_file_gets_its_final_name_only_if_the_engine_says_so(tmp_path: Path, is_async: str) -> None:
    def write(context: StepContext) -> None:
        with context.writing(context.path("out.txt")) as part:
            part.write_text("new")

    @step("async")
    async def write_async(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        write(context)

    @step("sync")
    def write_sync(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        write(context)

    final = tmp_path / "work" / "demo" / "a" / "run-1" / "artifacts" / "out.txt"
    engine, attempt = on_worker(call_of(tmp_path, is_async), write_async, write_sync)
    engine.answers[PublishFile] = ErrorInfo("AF882", "the attempt does not count any more")
    attempt.run()
    (asked_for,) = asked(engine.heard)
    assert asked_for.final == os.fsencode(final)
    assert engine.answer.error is not None
    assert not list(final.parent.iterdir())
    engine, attempt = on_worker(call_of(tmp_path, is_async), write_async, write_sync)
    engine.answers[PublishFile] = {"outcome": "yours"}
    attempt.run()
    assert (engine.answer.error, final.read_text()) == (None, "new")


def test_a_thread_that_waits_for_the_engine_ends_when_the_worker_ends_the_attempt(tmp_path: Path) -> None:
    @step("write")
    async def write(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        with context.writing(context.path("out.txt")) as part:
            part.write_text("new")

    engine, attempt = on_worker(call_of(tmp_path, "write"), write)
    engine.answers[PublishFile] = NOTHING
    thread = in_thread(attempt.run)
    engine.wait_for(Request, 2)
    attempt.stop("the scheduler is lost")
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert not list(tmp_path.rglob("out.txt"))


def test_stop_ends_a_step_that_waits_and_one_in_a_thread(tmp_path: Path) -> None:
    @step("wait")
    async def wait(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("waiting")
        await anyio.sleep_forever()

    @step("block")
    def block(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("waiting")
        while True:
            context.raise_if_stopping()
            time.sleep(0.01)

    for kind in (wait, block):
        engine, attempt = on_worker(call_of(tmp_path, kind.name), wait, block)
        thread = in_thread(attempt.run)
        engine.wait_for(LogLine)
        engine.tell(Stop("cancelled"))
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert engine.answer == Answer()


def test_a_stop_before_the_attempt_runs_ends_it(tmp_path: Path) -> None:
    engine, attempt = on_worker(call_of(tmp_path, "say", {"n": 1}), say)
    engine.tell(Stop())
    attempt.run()
    assert not [one for one in engine.heard if isinstance(one, LogLine)]


def test_what_a_step_left_is_undone_if_the_engine_cannot_conclude_it(tmp_path: Path) -> None:
    undone = threading.Event()

    @step("leave")
    async def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs

        async def undo() -> None:
            undone.set()

        context.undo_if_failed(undo)

    engine, attempt = on_worker(call_of(tmp_path, "leave"), leave)
    attempt.run()
    assert engine.answer.must_wait
    assert not undone.is_set()
    engine, attempt = on_worker(call_of(tmp_path, "leave"), leave)
    engine.verdict = Undo()
    attempt.run()
    assert undone.wait(PATIENCE_SECONDS)


def test_what_a_step_left_is_undone_if_no_engine_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "UNANSWERED_SECONDS", 0.05)
    undone: list[str] = []

    @step("leave")
    async def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs

        async def undo() -> None:
            undone.append(context.step_id)

        context.undo_if_failed(undo)

    engine, attempt = on_worker(call_of(tmp_path, "leave"), leave)
    engine.verdict = None
    attempt.run()
    assert undone == ["s"]
    assert attempt.is_over


def test_questions_that_no_engine_answers_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_link, "UNANSWERED_SECONDS", 0.05)
    sent: list[bytes] = []
    link = EngineLink(sent.append)
    with pytest.raises(StepError, match="no engine has answered"):
        anyio.run(link.ask, ReadMark("m"))
    with pytest.raises(StepError, match="no engine has answered"):
        link.ask_and_block(ReadMark("m"))
    assert len(sent) == 2


def test_an_engine_that_comes_back_gets_the_open_questions_and_the_end(tmp_path: Path) -> None:
    @step("send")
    async def send(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.effect("new"):
            context.log("inside")

    engine, attempt = on_worker(call_of(tmp_path, "send"), send)
    engine.answers[IntendEffect] = NOTHING
    thread = in_thread(attempt.run)
    engine.wait_for(Request, 2)
    later, _ = on_worker(call_of(tmp_path, "send"), send)
    later.attempt, later.verdict = attempt, None
    attempt.attach(later.send)
    thread.join(PATIENCE_SECONDS)
    assert later.heard[:2] == [Begin(PLACE, has_begun=True), Request(2, IntendEffect("new", {}))]
    assert later.answer.result == StepResult()
    over = [attempt.is_over]
    last, _ = on_worker(call_of(tmp_path, "send"), send)
    last.attempt = attempt
    attempt.attach(last.send)
    assert [type(one) for one in last.heard] == [Begin, End]
    assert [*over, attempt.is_over] == [False, True]
    assert [one.ask for one in engine.heard if isinstance(one, Request)][1:] == [IntendEffect("new", {})]


def test_an_engine_that_does_not_want_an_attempt_any_more_learns_when_it_has_ended(tmp_path: Path) -> None:
    ended: list[str] = []

    @step("wait")
    async def wait(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("inside")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(context.step_id)

    engine, attempt = on_worker(call_of(tmp_path, "wait"), wait)
    engine.verdict = None
    thread = in_thread(attempt.run)
    engine.wait_for(LogLine)
    refused = RefusedAttempt(attempt.key)
    heard: list[FromWorker] = []

    def deliver(message: bytes) -> None:
        heard.append(msgspec.json.decode(message, type=FromWorker))
        refused.deliver("a start", message, attempt.receive)

    attempt.attach(deliver)
    thread.join(PATIENCE_SECONDS)
    assert [type(one) for one in heard] == [Begin, End]
    assert (ended, attempt.is_over) == (["s"], True)


def test_a_lock_that_another_engine_cannot_take_ends_the_attempt(tmp_path: Path) -> None:
    @step("lock")
    async def lock(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.lock("k", ttl_seconds=5):
            context.log("inside")
            await anyio.sleep_forever()

    engine, attempt = on_worker(call_of(tmp_path, "lock"), lock)
    thread = in_thread(attempt.run)
    engine.wait_for(LogLine)
    later, _ = on_worker(call_of(tmp_path, "lock"), lock)
    later.attempt = attempt
    later.answers[TakeLock] = ErrorInfo("AF620", "another run holds it", is_temporary=True)
    attempt.attach(later.send)
    thread.join(PATIENCE_SECONDS)
    assert asked(later.heard)[0] == TakeLock("k", 5, 0)
    assert later.answer.error == ErrorInfo("AF620", "another run holds it", is_temporary=True)


def test_an_engine_that_takes_over_gets_questions_in_their_order_and_not_before_its_go(
    tmp_path: Path,
) -> None:
    asks = threading.Event()

    @step("send")
    async def send(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs

        async def effect(key: str) -> None:
            async with context.effect(key):
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(effect, "first")
            await anyio.to_thread.run_sync(asks.wait)
            context.log("second")
            tasks.start_soon(effect, "second")

    engine, attempt = on_worker(call_of(tmp_path, "send"), send)
    engine.answers[IntendEffect] = NOTHING
    thread = in_thread(attempt.run)
    engine.wait_for(Request, 2)
    later, _ = on_worker(call_of(tmp_path, "send"), send)
    later.attempt, go, later.first = attempt, later.first, None
    attempt.attach(later.send)
    asks.set()
    later.wait_for(LogLine)
    assert asked(later.heard) == []
    assert go is not None
    later.tell(go)
    thread.join(PATIENCE_SECONDS)
    numbers = [one.id for one in later.heard if isinstance(one, Request)]
    assert numbers == sorted(set(numbers))
    assert asked(later.heard)[0] == IntendEffect("first", {})
    assert later.answer.result == StepResult()


def test_nothing_is_said_after_the_end(tmp_path: Path) -> None:
    ends, refused = threading.Event(), threading.Event()

    def write_late(context: StepContext) -> None:
        with context.writing(tmp_path / "late.txt") as part:
            part.write_text("x")

    @step("leave")
    async def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs

        def late() -> None:
            ends.wait()
            context.log("late")
            with pytest.raises(StepError, match="the attempt was ended"):
                write_late(context)
            refused.set()

        threads.append(in_thread(late))

    threads: list[threading.Thread] = []
    engine, attempt = on_worker(call_of(tmp_path, "leave"), leave)
    attempt.run()
    ends.set()
    threads[0].join(PATIENCE_SECONDS)
    assert refused.is_set()
    assert isinstance(engine.heard[-1], End)
    assert not (tmp_path / "late.txt").exists()


def test_texts_that_are_no_utf8_are_escaped(tmp_path: Path) -> None:
    @step("odd")
    async def odd(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        context.log("a\udcff")
        context.progress(1, 2, "rows", "b\ud800")
        context.progress_note = "c\udcff"
        return {"d\udcff": "e\udcff"}

    engine, attempt = on_worker(call_of(tmp_path, "odd"), odd)
    attempt.run()
    said = [one for one in engine.heard if isinstance(one, LogLine | Progress)]
    assert said == [LogLine("a\\udcff"), Progress(1, 2, "rows", "b\\ud800")]
    assert engine.answer.result == StepResult(outputs={"d\\udcff": "e\\udcff"})
    assert engine.answer.progress_note == "c\\udcff"
