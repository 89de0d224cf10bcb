"""What happens to the output: kept whole, shown, captured, masked, and never more memory than agreed."""

from __future__ import annotations

import itertools
import os
import sys
from collections import deque
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import StepError
from aetherflow.events.run_events import Event, StepOutput
from aetherflow.process import output_recorder, shown_lines
from aetherflow.process.output_recorder import OutputPlan, OutputRecorder
from aetherflow.process.pipes import Stream
from aetherflow.process.whole_lines import LONGEST_LINE, LONGEST_SECRET
from aetherflow.testing import FakeClock
from tests.polling import eventually
from tests.sizes import examples
from tests.steps.process_context import process_context, run_step, said, shown

SECRET = "correct-horse-battery"  # noqa: S105 - made up
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END KEY-----"


async def record(
    folder: Path, pieces: list[bytes], plan: OutputPlan, *secrets: str, stream: Stream = "stdout"
) -> tuple[OutputRecorder, list[Event]]:
    """Give the pieces to a recorder as a pipe would, and finish."""
    events: list[Event] = []
    context = process_context(folder, events, secrets=secrets, clock=FakeClock())
    with OutputRecorder(context, plan) as recorder:
        for piece in pieces:
            await recorder.sinks[stream](piece)
        await recorder.sinks[stream](b"", last=True)
        recorder.finish()
    return recorder, events


@pytest.mark.asyncio
async def test_lines_are_shown_as_lines_whatever_pieces_they_come_in(tmp_path: Path) -> None:
    recorder, events = await record(tmp_path, [b"on", b"e\ntw", b"o\r\n\nlast"], OutputPlan())
    assert shown(events) == ["one", "two", "", "last"]
    assert recorder.log_file is not None
    assert recorder.log_file.read_bytes() == b"one\ntwo\r\n\nlast"


@pytest.mark.asyncio
async def test_a_program_without_output_makes_no_log_file(tmp_path: Path) -> None:
    recorder, events = await record(tmp_path, [], OutputPlan())
    assert (recorder.log_file, events) == (None, [])
    assert not process_context(tmp_path).log_file.exists()


@pytest.mark.asyncio
async def test_a_line_is_shown_while_the_program_runs(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events)
    async with anyio.create_task_group() as tasks:

        async def runs() -> None:
            await run_step(context, command=["sh", "-c", "echo early; cat go; echo late"])

        os.mkfifo(context.artifacts / "go")
        tasks.start_soon(runs)
        assert await eventually(lambda: shown(events) == ["early"])
        await anyio.to_thread.run_sync((context.artifacts / "go").write_text, "go\n")
    assert shown(events) == ["early", "go", "late"]


@pytest.mark.asyncio
async def test_captured_output_is_exact_and_shown_too(tmp_path: Path) -> None:
    events: list[Event] = []
    result = await run_step(
        process_context(tmp_path, events),
        command=["sh", "-c", "printf 'a\\n\\nb '; printf 'no\\n' >&2"],
        log={"stdout": "capture", "stderr": "capture"},
    )
    assert result.outputs == {"exit_code": 0, "attempts": 1, "stdout": "a\n\nb ", "stderr": "no"}
    assert (shown(events), shown(events, "stderr")) == (["a", "", "b "], ["no"])


@pytest.mark.asyncio
async def test_output_that_is_no_utf8_is_kept_as_bytes_and_shown_with_replacements(tmp_path: Path) -> None:
    recorder, events = await record(tmp_path, [b"\xff\xfe caf\xe9\n"], OutputPlan(stdout="capture"))
    assert recorder.captured() == {"stdout": "\ufffd\ufffd caf\ufffd"}
    assert shown(events) == ["\ufffd\ufffd caf\ufffd"]
    assert recorder.log_file is not None
    assert recorder.log_file.read_bytes() == b"\xff\xfe caf\xe9\n"


@pytest.mark.asyncio
async def test_the_capture_keeps_the_beginning_up_to_its_limit_and_says_so(tmp_path: Path) -> None:
    plan = OutputPlan(stdout="capture", captured_bytes=10)
    recorder, events = await record(tmp_path, [b"12345\n", b"678\n"], plan)
    assert recorder.captured() == {"stdout": "12345\n678"}
    assert said(events) == ""
    recorder, events = await record(tmp_path, [b"12345\n", b"6789\n"], plan)
    assert recorder.captured() == {"stdout": "12345\n6789"}
    assert "longer than 10 bytes" in said(events)
    assert str(recorder.log_file) in said(events)


@pytest.mark.parametrize(
    ("printed", "captured"),
    [
        (b"ok\n", "ok"),
        (b"ok\r\n", "ok"),
        (b"ok\n\n", "ok\n"),
        (b"ok\r", "ok\r"),
        (b"ok \n", "ok "),
        (b"\n", ""),
        (b"", ""),
        (b"a\r\nb\r\n", "a\r\nb"),
    ],
)
@pytest.mark.asyncio
async def test_the_capture_has_no_final_line_end(tmp_path: Path, printed: bytes, captured: str) -> None:
    recorder, _ = await record(tmp_path, [printed], OutputPlan(stdout="capture"))
    assert recorder.captured() == {"stdout": captured}


@pytest.mark.asyncio
async def test_a_capture_that_is_cut_keeps_the_line_end_that_is_not_the_final_one(tmp_path: Path) -> None:
    plan = OutputPlan(stdout="capture", captured_bytes=6)
    recorder, _ = await record(tmp_path, [b"12345\n", b"678\n"], plan)
    assert recorder.captured() == {"stdout": "12345\n"}


@pytest.mark.asyncio
async def test_the_limit_does_not_cut_a_character(tmp_path: Path) -> None:
    plan = OutputPlan(stdout="capture", captured_bytes=4)
    recorder, _ = await record(tmp_path, ["abc\u00e9\n".encode()], plan)
    assert recorder.captured() == {"stdout": "abc"}


@examples(25)
@given(
    data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6), limit=st.integers(0, 400)
)
def test_whatever_the_pieces_the_log_is_whole_and_the_capture_its_beginning(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int], limit: int
) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    plan = OutputPlan(stdout="capture", captured_bytes=limit)
    recorder, _ = anyio.run(record, tmp_path_factory.mktemp("x"), pieces, plan)
    state = recorder._streams["stdout"]
    assert bytes(state._captured) == data[:limit]
    assert state.cut == (len(data) > limit)
    assert (recorder.log_file.read_bytes() if recorder.log_file else b"") == data


@pytest.mark.asyncio
async def test_mode_file_appends_both_streams_and_leaves_the_log_complete(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events)
    (context.artifacts / "out").mkdir()
    (context.artifacts / "out" / "all.txt").write_text("before\n")
    until_written = f"until grep -q one out/all.txt && grep -q one {context.log_file}; do sleep 0.02; done"
    result = await run_step(
        context,
        command=["sh", "-c", f"echo one; {until_written} 2>/dev/null; echo two >&2"],
        log={"stdout": "file", "stderr": "file", "file_path": "out/all.txt"},
    )
    assert result.outputs["log_file"] == str(context.artifacts / "out" / "all.txt")
    assert (context.artifacts / "out" / "all.txt").read_text() == "before\none\ntwo\n"
    assert context.log_file.read_text() == "one\ntwo\n"
    assert events == []


@pytest.mark.asyncio
async def test_mode_file_makes_an_empty_file_for_an_empty_output(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    await run_step(context, command=["true"], log={"stdout": "file", "file_path": "deep/er/empty"})
    assert (context.artifacts / "deep/er/empty").read_bytes() == b""
    assert not context.log_file.exists()


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_written_fails_the_step(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "taken").mkdir()
    with pytest.raises(StepError, match=r"cannot write .*/taken: Is a directory") as raised:
        await run_step(context, command=["echo", "x"], log={"stdout": "file", "file_path": "taken"})
    assert raised.value.code == "AF735"


@pytest.mark.asyncio
async def test_a_log_file_that_cannot_be_written_is_reported_and_the_step_goes_on(tmp_path: Path) -> None:
    events: list[Event] = []
    (tmp_path / "logs").write_text("in the way")
    result = await run_step(
        process_context(tmp_path, events), command=["sh", "-c", "echo a; echo b"], log={"stdout": "capture"}
    )
    assert result.outputs["stdout"] == "a\nb"
    assert said(events).count("cannot write") == 1


@pytest.mark.asyncio
async def test_discarded_output_is_nowhere(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events)
    await run_step(context, command=["sh", "-c", "echo a; echo b >&2"], log={"stdout": "discard"})
    assert (shown(events), shown(events, "stderr")) == ([], ["b"])
    assert context.log_file.read_text() == "b\n"


@pytest.mark.asyncio
async def test_the_log_file_says_that_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_recorder, "LOG_LIMIT", 12)
    recorder, events = await record(
        tmp_path, [b"12345\n", b"67890\n", b"more\n", b"and more\n"], OutputPlan()
    )
    assert recorder.log_file is not None
    kept = recorder.log_file.read_text()
    assert kept.startswith("12345\n67890\n\n[aetherflow: ")
    assert "limit of 12 bytes" in kept
    assert "more\n" not in kept
    assert said(events).count("limit of 12 bytes") == 1
    assert shown(events) == ["12345", "67890", "more", "and more"]


@pytest.mark.asyncio
async def test_of_a_very_long_line_the_beginning_is_shown_and_all_is_stored(tmp_path: Path) -> None:
    line = b"abc" * 100_000
    recorder, events = await record(tmp_path, [line[:70_000], line[70_000:], b"\nnext\n"], OutputPlan())
    (first, second) = (event for event in events if isinstance(event, StepOutput))
    assert (first.text.encode(), first.more_bytes) == (line[:LONGEST_LINE], len(line) - LONGEST_LINE)
    assert (second.text, second.more_bytes) == ("next", 0)
    assert recorder.log_file is not None
    assert recorder.log_file.read_bytes() == line + b"\nnext\n"


@pytest.mark.asyncio
async def test_a_progress_bar_is_one_line_and_is_shown_now_and_then_while_it_moves(tmp_path: Path) -> None:
    states = [f"{percent} %\r".encode() for percent in range(101)]
    recorder, events = await record(tmp_path, [b"begin\n", *states, b"\nend\n"], OutputPlan())
    lines = [event for event in events if isinstance(event, StepOutput)]
    assert [line.text for line in lines if not line.is_unfinished] == ["begin", "100 %", "end"]
    assert [line.text for line in lines if line.is_unfinished][:1] == ["0 %"]
    assert len(lines) < 20
    assert recorder.log_file is not None
    assert recorder.log_file.read_bytes() == b"begin\n" + b"".join(states) + b"\nend\n"
    assert recorder.last_lines() == ("stdout", ["begin", "100 %", "end"])


@pytest.mark.parametrize(
    ("pieces", "seen"),
    [
        ([b"1 %\r2 %\r", b"3 %"], "3 %"),
        ([b"1 %\r", b"2 %\r\n"], "2 %"),
        ([b"long text\rshort\r"], "short"),
        ([b"x" * 70_000 + b"\r", b"done\n"], "done"),
    ],
)
@pytest.mark.asyncio
async def test_of_a_line_that_is_written_over_the_last_state_is_seen(
    tmp_path: Path, pieces: list[bytes], seen: str
) -> None:
    _, events = await record(tmp_path, pieces, OutputPlan())
    (line,) = (event for event in events if isinstance(event, StepOutput) and not event.is_unfinished)
    assert (line.text, line.more_bytes) == (seen, 0)


@pytest.mark.asyncio
async def test_lines_that_come_too_fast_are_counted_and_still_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_lines, "SHOWN_PER_SECOND", 3)
    recorder, events = await record(tmp_path, [b"1\n2\n3\n4\n5\n", b"6\n"], OutputPlan())
    assert shown(events) == ["1", "2", "3"]
    assert "6 bytes of output came too fast" in said(events)
    assert recorder.log_file is not None
    assert recorder.log_file.read_bytes() == b"1\n2\n3\n4\n5\n6\n"


@pytest.mark.asyncio
async def test_long_lines_count_as_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_lines, "SHOWN_PER_SECOND", 100)
    _, events = await record(tmp_path, [b"x" * 60_000 + b"\n"] * 50, OutputPlan())
    assert len(shown(events)) == 2


@pytest.mark.asyncio
async def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events, secrets=(SECRET,))
    command = ["sh", "-c", f"echo a {SECRET} b; echo {SECRET} >&2"]
    log = {"stdout": "capture", "stderr": "file", "file_path": "err"}
    result = await run_step(context, command=command, log=log)
    assert result.outputs["stdout"] == "a *** b"
    assert (context.artifacts / "err").read_text() == "***\n"
    assert shown(events) == ["a *** b"]
    assert SECRET not in context.log_file.read_text()


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
@pytest.mark.asyncio
async def test_a_secret_of_several_lines_is_masked_in_any_pieces(tmp_path: Path, size: int) -> None:
    data = f"before\n{KEY}\nafter\n".encode()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    recorder, events = await record(tmp_path, pieces, OutputPlan(stdout="capture"), KEY)
    everything = recorder.captured()["stdout"] + "\n".join(shown(events))
    assert not [line for line in KEY.splitlines() if line in everything]
    assert everything.startswith("before\n***\n")


@pytest.mark.parametrize("offset", [0, 5, 11, 20])
@pytest.mark.asyncio
async def test_a_secret_at_the_edge_of_a_piece_of_an_endless_line_is_masked(
    tmp_path: Path, offset: int
) -> None:
    filler = "x" * (LONGEST_LINE - LONGEST_SECRET - offset)
    line = f"{filler}{SECRET}{'y' * 200_000}{SECRET}".encode()
    pieces = [line[start : start + 65_536] for start in range(0, len(line), 65_536)]
    recorder, events = await record(tmp_path, pieces, OutputPlan(), SECRET)
    assert recorder.log_file is not None
    assert recorder.log_file.read_text() == f"{filler}***{'y' * 200_000}***"
    assert shown(events) == [f"{filler}***{'y' * 200_000}***"[:LONGEST_LINE]]


def forget_peak() -> float:
    """Let the system count the peak of this process's memory from here; return what it uses now (MB)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """Return the most memory this process used since `forget_peak` (MB)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.asyncio
async def test_a_hundred_megabytes_captured_with_a_cap_of_one_need_little_memory(tmp_path: Path) -> None:
    context = process_context(tmp_path, deque(maxlen=10))
    await run_step(context, command=["echo"], log={"stdout": "discard"})
    before = forget_peak()
    script = "yes 'a line of output as programs write them' | head -c 100000000"
    result = await run_step(
        context, command=["sh", "-c", script], log={"stdout": "capture", "max_capture_bytes": 1_000_000}
    )
    assert len(result.outputs["stdout"]) == 1_000_000
    assert context.log_file.stat().st_size == 100_000_000
    assert peak() - before < 40


@pytest.mark.parametrize("secrets", [(), (SECRET,)])
@pytest.mark.asyncio
async def test_one_line_of_two_hundred_megabytes_needs_little_memory(
    tmp_path: Path, secrets: tuple[str, ...]
) -> None:
    context = process_context(tmp_path, deque(maxlen=10), secrets=secrets)
    await run_step(context, command=["echo"], log={"stdout": "discard"})
    before = forget_peak()
    result = await run_step(
        context,
        command=[sys.executable, "-c", "import sys\nfor _ in range(200): sys.stdout.write('x' * 1_000_000)"],
        log={"stdout": "capture", "max_capture_kb": 1},
    )
    assert result.outputs["stdout"] == "x" * 1024
    assert peak() - before < 40
