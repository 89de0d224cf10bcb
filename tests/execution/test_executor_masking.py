"""Canary secrets through everything a step can say: none arrives in the file, the log or the event stream."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import anyio
import msgspec
import pytest

from aetherflow.errors import StepError
from aetherflow.events import run_events as e
from aetherflow.observe.event_stream import EventStreamObserver
from aetherflow.observe.log import LogObserver
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult
from tests.execution.live_run import LiveRun, flow, live, query

SIMPLE = "canary-ünï/+=&% \"quoted\" 'both' back\\slash"
KEY = "-----BEGIN CANARY KEY-----\nMIIEcanary+line/one==\nMIIEcanary+line/two==\n-----END CANARY KEY-----\n"
NAMED = "canary-under-a-name"
IN_URL = "canary-in-url"


def spellings(secret: str) -> Iterator[str]:
    """Return how a secret may look."""
    raw = secret.encode()
    yield secret
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]


EVERY = [
    *spellings(SIMPLE),
    *spellings(KEY),
    *KEY.split("\n")[1:3],
    f"postgresql://bob:{IN_URL}@db/x",
]
TOLD = " | ".join(EVERY) + f" | {KEY.splitlines()[1]} alone"
INSIDE = [base64.b64encode(b"user"[:n] + SIMPLE.encode() + b"more").decode() for n in range(4)]


def canaries(data: bytes) -> list[str]:
    """Return the secrets that can be found in the data, in any of their spellings."""
    found = [text for secret in (SIMPLE, KEY, NAMED, IN_URL) for text in spellings(secret)]
    found += [line for line in KEY.splitlines() if line]
    found += [base64.b64encode(SIMPLE.encode())[4:-6].decode()]
    return [text for text in found if text.encode() in data or json.dumps(text)[1:-1].encode() in data]


async def tell_everything(context: StepContext, inputs: dict[str, Any]) -> StepResult:
    """Say the secrets wherever something can be said, then end as asked."""
    context.say(TOLD)
    context.show_line("stderr", TOLD)
    named = {"password": NAMED, "list": [{"api_key": [NAMED], "clientSecret": {"deep": NAMED}}]}
    outputs = {
        "text": TOLD,
        "inside": INSIDE,
        "nested": [{TOLD: TOLD}],
        "named": named,
        "raw": SIMPLE.encode(),
    }
    if inputs["end"] == "skip":
        return Skipped(TOLD, outputs)
    if inputs["end"] == "step_error":
        raise StepError(
            TOLD, hint=TOLD, detail={"sql": TOLD, TOLD: [SIMPLE], "headers": {"Authorization": NAMED}}
        )
    if inputs["end"] == "error":
        raise ValueError(TOLD)
    if inputs["end"] == "retry" and context.attempt == 1:
        raise ConnectionError(TOLD)
    if inputs["end"] == "its_own":
        raise ValueError(f"login with {inputs['db']['password']} refused")
    return StepResult(outputs=outputs)


ENDS = ("skip", "step_error", "error", "retry", "success", "its_own")
TEXT = flow(
    *(
        f"{{id: {end}, steps: [{{id: s, type: tell, inputs: {{end: {end}, db: {{password: {NAMED}}}}},"
        " retry: {max_attempts: 2, retry_on: [connection]},"
        " outputs: {text: '{{result.text}}', named: '{{result.named}}', token: '{{result.text}}'}}]}"
        for end in ENDS
    ),
    "{id: each, depends_on: [success], for_each: '{{jobs.success.outputs.text}}',"
    " steps: [{id: s, type: tell}]}",
)


def database_files(folder: Path) -> list[bytes]:
    """Return the contents of the database and of the files beside it."""
    return [file.read_bytes() for file in sorted(folder.glob("state.sqlite*"))]


async def reported(folder: Path) -> tuple[LiveRun, bytes]:
    """Run the flow; return everything that the database files had while it ran, the logs and the stream."""
    streams = io.BytesIO(), io.StringIO(), io.StringIO()
    snapshots: list[bytes] = []
    async with live(TEXT, folder, {"tell": tell_everything}, secrets=[SIMPLE, KEY], show_traces=True) as run:
        async with anyio.create_task_group() as observing:
            run.bus.subscribe(observing, "events", EventStreamObserver(streams[0]), when_full="wait")
            for stream, form in ((streams[1], "text"), (streams[2], "json")):
                observer = LogObserver(stream, format=form, level="debug")  # type: ignore[arg-type]  # one of two
                run.bus.subscribe(observing, form, observer, when_full="wait")
            await run.run()
        snapshots += database_files(folder)
    snapshots += database_files(folder)
    assert len(snapshots) >= 3  # the database and its write-ahead log, then the database alone
    logs = [streams[0].getvalue(), *(stream.getvalue().encode() for stream in streams[1:])]
    assert all(b"run_finished" in log or b"SUCCESS" in log for log in logs)
    return run, b"\n".join([*snapshots, *logs, msgspec.json.encode(run.seen.events)])


@pytest.mark.asyncio
async def test_no_canary_arrives_anywhere(tmp_path: Path) -> None:
    run, everything = await reported(tmp_path)
    assert canaries(everything) == []
    assert everything.count(b"***") > 200
    assert {name: job.status for name, job in run.state.jobs.items()} == {
        **dict.fromkeys(("step_error", "error", "its_own", "each"), "FAILED"),
        **dict.fromkeys(("skip", "retry", "success"), "SUCCESS"),
    }


def test_the_search_would_find_the_canaries() -> None:
    for spelling in [*EVERY, NAMED, IN_URL]:
        assert canaries(f'{{"x": {json.dumps(spelling)}}}'.encode()) != []
        assert canaries(spelling.encode()) != []


@pytest.mark.asyncio
async def test_what_is_around_a_secret_stays_and_values_under_secret_names_go_whole(tmp_path: Path) -> None:
    run, _ = await reported(tmp_path)
    outputs = run.step("success.s").outputs
    assert outputs["named"] == {"password": "***", "list": [{"api_key": "***", "clientSecret": "***"}]}
    assert outputs["text"].endswith("| postgresql://bob:***@db/x | *** alone")
    promoted = run.state.jobs["success"].outputs
    assert (promoted["named"], promoted["token"]) == (outputs["named"], "***")
    error = run.step("step_error.s").error
    assert error.detail["headers"] == {"Authorization": "***"}
    assert run.step("its_own.s").error.message == "ValueError: login with *** refused"
    assert [r.error.message.startswith("ConnectionError: ***") for r in run.seen.of(e.StepRetrying)] == [True]


@pytest.mark.asyncio
async def test_the_step_itself_sees_its_secrets_as_they_are(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def look(context: StepContext, inputs: dict[str, Any]) -> None:
        del context
        seen.append(inputs)

    text = flow(f"{{id: a, steps: [{{id: s, type: look, inputs: {{password: {NAMED}}}}}]}}")
    async with live(text, tmp_path, {"look": look}, secrets=[SIMPLE]) as run:
        await run.run()
    assert seen == [{"password": NAMED}]
    assert query(tmp_path, "SELECT status FROM step_state") == [("SUCCESS",)]
