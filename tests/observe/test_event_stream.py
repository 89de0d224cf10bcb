"""The event stream: the record of every event, appended line by line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Event, JobFinished, JobStarted, Notice, StepOutput
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_stream import EventStreamObserver
from aetherflow.observe.line_writer import LineWriter, OutputLostError
from tests.observe.demo_run import RUN

EVENTS: list[Event] = [
    JobStarted(**RUN, job_id="a"),
    StepOutput(**RUN, job_id="a", step_id="s", step_type="t", stream="stderr", text="two\nlines"),
    Notice(**RUN, level="info", message="hello"),
    JobFinished(**RUN, job_id="a", status="SUCCESS", outputs={"n": [1, None, "ü"]}),
]


@pytest.mark.asyncio
async def test_every_event_is_the_line_of_its_record() -> None:
    sink = io.BytesIO()
    observer = EventStreamObserver(sink)

    await observer(EVENTS[:3])
    await observer(EVENTS[3:])
    await observer.aclose()

    recorder = Recorder()
    assert sink.getvalue() == b"".join(map(recorder.line, EVENTS))
    assert sink.getvalue().startswith(b'{"schema":"aetherflow.event/1","timestamp":"2026-01-02T22:14:03Z",')
    assert json.loads(sink.getvalue().splitlines()[3])["outputs"] == {"n": [1, None, "ü"]}
    assert not sink.closed


@pytest.mark.asyncio
async def test_a_file_is_appended_to_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for event in EVENTS[:2]:
        observer = EventStreamObserver(path)
        await observer([event])
        assert path.read_bytes().endswith(b"\n")  # flushed before the call returned
        await observer.aclose()

    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        "job_started",
        "step_output",
    ]


@pytest.mark.asyncio
async def test_half_a_line_of_a_killed_process_spoils_no_new_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"job_sta')
    observer = EventStreamObserver(path)

    await observer(EVENTS[:1])
    await observer.aclose()

    assert path.read_bytes() == b'{"event":"job_sta\n' + Recorder().line(EVENTS[0])


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7", b"SQLite format 3\0", b"notes\n", b'{"other": 1}\n', b"\n", b"["]
)
@pytest.mark.asyncio
async def test_a_file_with_other_content_is_not_appended_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    observer = EventStreamObserver(path)

    with pytest.raises(UsageError, match="it has content that is no event"):
        await observer.open()
    with pytest.raises(UsageError, match="it has content that is no event"):
        await observer(EVENTS[:1])

    assert path.read_bytes() == content


@pytest.mark.asyncio
async def test_a_path_that_cannot_be_opened_is_an_error_before_the_run(tmp_path: Path) -> None:
    observer = EventStreamObserver(tmp_path / "missing" / "events.jsonl")

    with pytest.raises(UsageError, match=r"events\.jsonl: No such file or directory") as caught:
        await observer.open()

    assert caught.value.exit_code == 2
    await observer.aclose()


@pytest.mark.asyncio
async def test_a_reader_that_left_is_one_clear_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as sink:
        observer = EventStreamObserver(sink)
        with pytest.raises(OutputLostError, match="broken pipe"):
            await observer(EVENTS)
        await observer.aclose()


@pytest.mark.asyncio
async def test_a_full_disk_is_an_error_with_its_reason() -> None:
    observer = EventStreamObserver(Path("/dev/full"))

    with pytest.raises(OutputLostError, match="cannot write to /dev/full: No space left on device"):
        await observer(EVENTS)
    await observer.aclose()


@pytest.mark.asyncio
async def test_an_event_with_text_that_is_no_unicode_is_still_one_line() -> None:
    sink = io.BytesIO()
    event = JobFinished(**RUN, job_id="a", status="SUCCESS", outputs={"file": "\udc80.csv"})

    await EventStreamObserver(sink)([event])

    assert json.loads(sink.getvalue())["outputs"] == {"file": "\udc80.csv"}


def test_a_dash_is_standard_output() -> None:
    code = (
        "import anyio, datetime\n"
        "from aetherflow.events.run_events import JobStarted\n"
        "from aetherflow.observe.event_stream import EventStreamObserver\n"
        "at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)\n"
        "anyio.run(EventStreamObserver('-'), [JobStarted(at=at, flow_id='f', run_id='r', job_id='a')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["event"] == "job_started"


@pytest.mark.asyncio
async def test_a_file_that_runs_share_is_closed_after_the_last_of_them(tmp_path: Path) -> None:
    stream = EventStreamObserver(tmp_path / "events.jsonl")
    first, second = stream.join(), stream.join()

    await first(EVENTS[:1])
    writers = [stream._writer]
    assert isinstance(writers[0], LineWriter)
    await first.aclose()
    await second(EVENTS[1:2])
    assert stream._writer in writers
    await second.aclose()
    assert writers[0].stream.closed

    assert len((tmp_path / "events.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["json", "cloudevents"])
async def test_the_file_of_an_earlier_run_is_appended_to(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "events.jsonl"
    for event in EVENTS[:2]:
        observer = EventStreamObserver(path, format=form)
        await observer.open()
        await observer([event])
        await observer.aclose()

    assert len(path.read_text().splitlines()) == 2


@pytest.mark.asyncio
async def test_a_descriptor_that_nobody_reads_is_named() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        observer = EventStreamObserver(stream, name="fd:3")

        with pytest.raises(OutputLostError, match="nobody reads fd:3 any more"):
            await observer(EVENTS)
