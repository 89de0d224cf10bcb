"""What the engine does with what workers send: in any order, twice, too late, or no message at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import StepResult
from aetherflow.errors import AttemptLost, ErrorInfo, StepError
from aetherflow.events.lineage import Dataset
from aetherflow.events.run_events import Notice, StepOutput
from aetherflow.execution.ports import LogLine, OutputLine, Progress, ProgressNote
from aetherflow.execution.worker_attempt import MOST_REPORTS
from aetherflow.execution.worker_messages import (
    Accepted,
    Answer,
    End,
    GetPackage,
    Go,
    NotedLineage,
    Refuse,
    Request,
    Stop,
    Undo,
)
from aetherflow.testing import FakeRun
from tests.execution.worker_script import Script, followed

DONE = End(Answer(StepResult(outputs={"n": 1})))
MANY = 8


@pytest.mark.asyncio
async def test_the_first_start_begins_and_every_other_one_is_refused(tmp_path: Path) -> None:
    script = Script(tmp_path)
    first, second = script.start("s1"), script.start("s2")
    first.begin()
    second.begin()
    second.begin()
    assert first.kinds == ["Go"]
    assert second.kinds == ["Refuse", "Refuse"]
    assert script.placed == [("w1", "far")]
    assert isinstance(second.got[0], Refuse)
    assert "w1 (far)" in second.got[0].why


@pytest.mark.asyncio
async def test_the_start_that_was_let_in_may_ask_again_and_begins_once(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.begin()
    start.begin(has_begun=True)
    assert start.kinds == ["Go"] * 3  # a worker reads the first
    assert (script.placed, script.reports) == ([("w1", "far")], [])


@pytest.mark.asyncio
async def test_the_work_has_all_that_a_worker_needs(tmp_path: Path) -> None:
    script = Script(tmp_path, inputs={"a": [1, {"b": None}]})
    start = script.start()
    start.begin()
    (go,) = start.got
    assert isinstance(go, Go)
    assert (go.work.call.inputs, go.work.package) == ({"a": [1, {"b": None}]}, "p")


@pytest.mark.asyncio
async def test_a_result_counts_once_and_the_worker_is_told_when_it_is_stored(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(DONE)
    assert (await script.attempt.result()).outputs == {"n": 1}
    start.say(End(Answer(StepResult(outputs={"n": 2}))))
    assert start.kinds == ["Go"]  # nothing is stored yet
    script.attempt.accept()
    script.attempt.accept()
    assert start.kinds == ["Go", "Accepted"]
    start.say(DONE)  # the message was lost, say
    start.begin(has_begun=True)
    assert start.kinds == ["Go", "Accepted", "Accepted", "Accepted"]
    assert script.reports == []
    with anyio.fail_after(30):
        await script.attempt.ended()


@pytest.mark.asyncio
async def test_a_second_end_does_not_change_the_first(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(DONE, End(Answer(error=ErrorInfo("AF1", "no"))), End(Answer(StepResult(outputs={"n": 2}))))
    assert (await script.outcome()).outputs == {"n": 1}


@pytest.mark.asyncio
async def test_an_end_of_a_start_that_was_not_let_in_is_refused_and_recorded_once(tmp_path: Path) -> None:
    script = Script(tmp_path)
    stranger, second = script.start("stranger"), script.start("second")
    stranger.say(DONE)
    assert not script.attempt.finished.is_set()
    assert stranger.kinds == ["Refuse"]
    assert script.refused == [("", "", "it was not let begin")]
    first = script.start()
    first.begin()
    second.begin()
    first.say(DONE)
    stranger.say(DONE)
    second.say(DONE, DONE)
    assert (await script.outcome()).outputs == {"n": 1}
    assert script.refused[1:] == [("w1", "far", "another start of the attempt was let in, on w1 (far)")]
    assert script.reports == []


@pytest.mark.asyncio
async def test_a_late_result_of_a_lost_attempt_is_refused_and_recorded(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    script.attempt.fail(AttemptLost("the worker is gone"))
    await script.attempt.close()
    start.say(LogLine("still here"))
    start.begin(has_begun=True)
    start.say(DONE)
    assert start.kinds == ["Go", "Refuse", "Refuse", "Refuse"]
    assert script.refused == [("w1", "far", "the attempt was given up: the worker is gone")]
    assert (await script.outcome()).kind == "lost"
    assert script.kit.logged == []


@pytest.mark.asyncio
async def test_an_answer_that_came_before_the_loss_counts(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(DONE)
    script.attempt.fail(AttemptLost("the worker is gone"))
    assert (await script.outcome()).outputs == {"n": 1}


@pytest.mark.asyncio
async def test_an_attempt_that_is_stopped_before_it_began_never_begins(tmp_path: Path) -> None:
    script = Script(tmp_path)
    script.attempt.stop("enough")
    assert script.attempt.finished.is_set()
    start = script.start()
    start.begin()
    assert (start.kinds, script.placed) == (["Refuse"], [])


@pytest.mark.asyncio
async def test_a_stop_reaches_the_worker_also_when_it_asks_again(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    script.attempt.stop("enough")
    start.begin()
    assert start.kinds == ["Go", "Stop", "Go", "Stop"]
    assert start.got[1] == Stop("enough")


@pytest.mark.asyncio
async def test_only_a_start_that_works_already_joins_an_attempt_of_an_earlier_engine(tmp_path: Path) -> None:
    script = Script(tmp_path, is_reattached=True)
    new, old = script.start("new"), script.start("old")
    new.begin()
    assert new.kinds == ["Refuse"]
    old.begin(has_begun=True)
    old.say(LogLine("on"), DONE)
    assert (old.kinds, script.kit.logged) == (["Go"], ["on"])
    assert (await script.outcome()).outputs == {"n": 1}


@pytest.mark.asyncio
async def test_an_attempt_of_an_earlier_engine_is_stopped_as_soon_as_its_worker_is_heard_of(
    tmp_path: Path,
) -> None:
    script = Script(tmp_path, is_reattached=True)
    script.attempt.stop("enough")
    assert not script.attempt.finished.is_set()
    start = script.start()
    start.begin(has_begun=True)
    assert start.kinds == ["Go", "Stop"]


@pytest.mark.asyncio
async def test_a_start_that_claims_to_work_already_does_not_begin_a_new_attempt(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin(has_begun=True)
    assert start.kinds == ["Refuse"]


@pytest.mark.asyncio
async def test_an_engine_that_leaves_says_nothing_more(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    script.attempt.leave()
    await script.attempt.close()
    start.say(LogLine("on"), DONE)
    start.begin(has_begun=True)
    script.attempt.accept()
    assert (start.kinds, script.reports, script.kit.logged) == (["Go"], [], [])


GARBAGE = [
    b"",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"{",
    b"{}",
    b'{"type": "end"}',
    b'{"type": "go"}',
    b'{"type": "log"}',
    b'{"type": "log", "message": 3}',
    b'{"type": "log", "message": "\\ud800"}',
    b'{"type": "output", "stream": "stdin", "text": ""}',
    b'{"type": "progress", "done": "many"}',
    b'{"type": "request", "id": "x", "ask": {"type": "get_package", "package": "p"}}',
    b'{"type": "request", "id": 99999999999999999999999, "ask": {}}',
    b'{"type": "begin", "place": 3}',
    b"[" * 100_000,
    b'{"type": "log", "message": ' + b'{"a":' * 100_000,
]


@pytest.mark.asyncio
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_of_a_stranger_is_reported_and_changes_nothing(tmp_path: Path, garbage: bytes) -> None:
    script = Script(tmp_path)
    start, stranger = script.start(), script.start("stranger")
    stranger.say_raw(garbage)
    start.begin()
    stranger.say_raw(garbage)
    start.say(DONE)
    assert (await script.outcome()).outputs == {"n": 1}
    assert script.codes == ["AF884", "AF884"]
    assert (start.kinds, stranger.kinds) == (["Go"], [])


@pytest.mark.asyncio
async def test_reports_of_one_attempt_are_limited(tmp_path: Path) -> None:
    script = Script(tmp_path)
    for _ in range(MOST_REPORTS + 5):
        script.start().say_raw(b"{")
    assert len(script.reports) == MOST_REPORTS


@pytest.mark.asyncio
async def test_an_end_that_cannot_be_read_fails_the_attempt(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say_raw(b'{"type": "end", "answer": {"result": {"status": "GREAT"}}}')
    outcome = await script.outcome()
    assert (outcome.code, script.codes) == ("AF884", ["AF884"])
    assert "w1 (far)" in outcome.message


@pytest.mark.asyncio
async def test_a_question_that_cannot_be_read_is_answered_with_an_error(tmp_path: Path) -> None:
    script = Script(tmp_path)
    async with followed(script) as start:
        start.say_raw(b'{"type": "request", "id": 1, "ask": {"type": "launch_missiles"}}')
        assert (await start.reply_to(1)).code == "AF884"
        assert await start.ask(2, GetPackage("p")) == "the package p"


@pytest.mark.asyncio
async def test_what_a_worker_says_is_shown_in_the_name_of_the_step(tmp_path: Path) -> None:
    script = Script(tmp_path, FakeRun(tmp_path, secrets=["s3cret-word"]))
    start = script.start()
    start.begin()
    start.say(
        LogLine("with s3cret-word", "error"),
        OutputLine("stderr", "part", 12, is_unfinished=True),
        Progress(1, 2, "files"),
        ProgressNote("half"),
    )
    (notice,) = script.kit.of(Notice)
    assert (notice.level, notice.message, notice.job_id) == ("error", "with ***", "a")
    (line,) = script.kit.of(StepOutput)
    assert (line.stream, line.text, line.more_bytes, line.is_unfinished) == ("stderr", "part", 12, True)
    assert script.context.progress_note == "half"


@pytest.mark.asyncio
async def test_messages_after_the_end_are_reported_and_not_shown(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(DONE, LogLine("late"), Request(1, GetPackage("p")), ProgressNote("late"))
    assert (script.codes, script.kit.logged, start.kinds) == (["AF884"] * 3, [], ["Go"])


@pytest.mark.asyncio
async def test_lineage_and_progress_of_an_answer_are_those_of_the_step(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    noted = NotedLineage(reads=[Dataset("file", "/a")], writes=[Dataset("file", "/b", rows=3)])
    start.say(End(Answer(StepResult(), lineage=noted, progress_note="all")))
    await script.attempt.result()
    fields = script.context.noted_lineage.fields(script.kit.redactor)
    assert fields == {"reads": [Dataset("file", "/a")], "writes": [Dataset("file", "/b", rows=3)]}
    assert script.context.progress_note == "all"


@pytest.mark.asyncio
async def test_an_error_keeps_all_that_the_worker_says_of_it(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    error = ErrorInfo("AF799", "no", "connection", "look", {"p": 1}, is_temporary=True, is_final=True)
    start.say(End(Answer(error=error, trace="Traceback: far away")))
    with pytest.raises(StepError) as raised:
        await script.attempt.result()
    assert raised.value.info() == error
    assert "far away" in raised.value.__notes__[0]


@pytest.mark.asyncio
async def test_a_worker_is_told_to_undo_what_the_engine_cannot_conclude(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(End(Answer(StepResult(), must_wait=True)))
    await script.attempt.result()
    assert script.attempt.must_wait
    await script.attempt.undo()
    script.attempt.accept()
    assert start.got[1:] == [Undo()]


@pytest.mark.asyncio
async def test_an_answer_with_neither_result_nor_error_is_a_loss(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(End(Answer(stopped="the worker closes")))
    outcome = await script.outcome()
    assert (outcome.code, outcome.kind) == ("AF801", "lost")
    assert "the worker closes" in outcome.message


@pytest.mark.asyncio
async def test_a_failed_attempt_is_accepted_too(tmp_path: Path) -> None:
    script = Script(tmp_path)
    start = script.start()
    start.begin()
    start.say(End(Answer(error=ErrorInfo("AF1", "no"))))
    script.attempt.accept()
    assert start.got[1:] == [Accepted()]


ORDERS: list[list[Any]] = [[DONE, "begin"], ["begin", "begin", DONE, DONE], [LogLine("x"), "begin", DONE]]


@pytest.mark.asyncio
@pytest.mark.parametrize("order", ORDERS, ids=range(len(ORDERS)))
async def test_any_order_ends_with_at_most_one_result(tmp_path: Path, order: list[Any]) -> None:
    script = Script(tmp_path)
    starts = [script.start(f"s{number}") for number in range(MANY)]
    for message in order:
        for start in starts:
            if isinstance(message, str):
                start.begin()
            else:
                start.say(message)
    let_in = [start for start in starts if "Go" in start.kinds]
    assert len(let_in) == 1
    ended = script.attempt.finished.is_set()
    assert ended == (order[-1] is DONE)
    assert len(script.refused) == MANY - ended
