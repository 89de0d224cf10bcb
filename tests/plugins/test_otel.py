"""Traces and logs of runs, as an OTLP receiver gets them, and receivers that do not answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.cli.command_line import CommandLine
from tests.plugins.observed_runs import Watched
from tests.servers.free_port import silent_port
from tests.servers.otlp_receiver import OtlpReceiver, attributes, otlp_receiver

pytestmark = pytest.mark.asyncio

SECRET = "hush-hush-5521"  # noqa: S105 - of this test
FLOW = """
version: 1
flow: {id: night, params: {api_token: {type: string, default: none}}}
jobs:
- id: load
  for_each: [north, south]
  steps:
  - id: read
    type: external.process
    retry: {max_attempts: 2, backoff_seconds: 0}
    inputs:
      cwd: flow
      command: [sh, -c, 'echo "$0 $1" >&2; test -e "$0"', '{{item}}', '{{params.api_token}}']
- id: report
  depends_on: [load]
  steps:
  - {id: say, type: external.process, inputs: {command: [echo, done]}}
- id: never
  when: params.api_token == "never"
  steps:
  - {id: say, type: external.process, inputs: {command: [echo, never]}}
"""
OUTER_TRACE, OUTER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ERROR = 2


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


@pytest.fixture
def traced(tmp_path: Path, receiver: OtlpReceiver) -> Watched:
    (tmp_path / "north").touch()
    return Watched(tmp_path, FLOW, AETHERFLOW_OBSERVERS="otel", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)


async def run(traced: Watched, env: dict[str, str] | None = None, **request: Any) -> list[dict[str, Any]]:
    """Run the flow, or go on with it; nothing may be lost."""
    records = await traced.run(env, params={"api_token": SECRET}, **request)
    assert traced.lost == {}
    return records


async def test_a_run_its_jobs_and_attempts_are_spans_with_the_ids_of_the_records(
    traced: Watched, receiver: OtlpReceiver
) -> None:
    records = await run(traced, traceparent=f"00-{OUTER_TRACE}-{OUTER_SPAN}-01")

    ids = {(one["trace_id"], one["span_id"]) for one in records if one.get("job_id") or "seq" in one}
    spans = receiver.spans
    assert {(span.trace_id.hex(), span.span_id.hex()) for span in spans} == ids
    assert {span.trace_id.hex() for span in spans} == {OUTER_TRACE}
    assert len({span.span_id for span in spans}) == len(spans)
    whole, load = receiver.span("RUN night"), receiver.span("load")
    assert whole.parent_span_id.hex() == OUTER_SPAN
    assert [span.parent_span_id for span in receiver.named("load[0]") + receiver.named("load[1]")] == [
        load.span_id
    ] * 2
    north, *south = receiver.named("load[0].read") + receiver.named("load[1].read")
    assert north.parent_span_id == receiver.span("load[0]").span_id
    assert [span.parent_span_id for span in south] == [receiver.span("load[1]").span_id] * 2
    assert load.parent_span_id == whole.span_id
    assert all(whole.start_time_unix_nano <= span.start_time_unix_nano for span in spans)
    assert all(span.end_time_unix_nano <= whole.end_time_unix_nano for span in spans)


async def test_results_errors_and_events_follow_the_conventions(
    traced: Watched, receiver: OtlpReceiver
) -> None:
    attributes_given = "team=dwh,deployment.environment.name=pr%6fd"
    await run(traced, {"OTEL_SERVICE_NAME": "nightly", "OTEL_RESOURCE_ATTRIBUTES": attributes_given})

    whole = receiver.span("RUN night")
    assert whole.kind == 2  # SERVER
    assert whole.status.code == ERROR
    assert (
        attributes(whole.attributes).items()
        >= {
            "cicd.pipeline.name": "night",
            "cicd.pipeline.run.id": "r1",
            "cicd.pipeline.action.name": "RUN",
            "cicd.pipeline.result": "failure",
            "aetherflow.status": "FAILED",
        }.items()
    )
    first, second = receiver.named("load[1].read")
    assert (first.status.code, second.status.code) == (ERROR, ERROR)
    assert "exit code 1" in first.status.message
    of_first = attributes(first.attributes)
    assert of_first["cicd.pipeline.task.name"] == "load[1].read"
    assert of_first["cicd.pipeline.task.run.id"] == "r1/load[1]/read/1"
    assert of_first["cicd.pipeline.task.run.result"] == "failure"
    assert of_first["error.type"].startswith("AF")
    assert of_first["aetherflow.step_type"] == "external.process"
    assert [event.name for event in first.events] == ["step_retrying", "exception"]
    assert attributes(receiver.span("load[0].read").attributes)["cicd.pipeline.task.run.result"] == "success"
    for name, status in (("report", "BLOCKED"), ("never", "SKIPPED")):
        span = receiver.span(name)
        assert span.start_time_unix_nano == span.end_time_unix_nano
        assert attributes(span.attributes)["cicd.pipeline.task.run.result"] == "skip"
        assert attributes(span.attributes)["aetherflow.status"] == status
        assert span.status.code == 0
    resource = receiver.resource()
    assert resource["service.name"] == "nightly"
    assert (resource["team"], resource["deployment.environment.name"]) == ("dwh", "prod")
    assert (resource["cicd.pipeline.name"], resource["cicd.pipeline.run.id"]) == ("night", "r1")


async def test_a_resume_adds_spans_to_the_trace_and_none_twice(
    traced: Watched, receiver: OtlpReceiver
) -> None:
    records = await run(traced)
    (traced.folder / "south").touch()
    before = len(receiver.spans)
    records += await run(traced, traceparent=f"00-{OUTER_TRACE}-{OUTER_SPAN}-01")

    added = receiver.spans[before:]
    assert len({span.trace_id for span in receiver.spans}) == 1
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans)
    first, second = receiver.named("RUN night")
    assert second.start_time_unix_nano > first.end_time_unix_nano
    assert [link.trace_id.hex() for link in second.links] == [OUTER_TRACE]
    assert attributes(second.attributes)["cicd.pipeline.result"] == "success"
    assert sorted(span.name for span in added) == sorted(
        ["RUN night", "load", "load[1]", "load[1].read", "report", "report.say"]
    )
    ids = {one["span_id"] for one in records if one["trace_id"] == second.trace_id.hex()}
    assert {span.span_id.hex() for span in receiver.spans} <= ids


async def test_records_are_log_records_that_name_their_span_and_hold_no_secret(
    traced: Watched, receiver: OtlpReceiver
) -> None:
    records = await run(traced, {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})

    assert len(receiver.logs) == len(records)
    for log, record in zip(receiver.logs, records, strict=True):
        assert (log.trace_id.hex(), log.span_id.hex()) == (record["trace_id"], record["span_id"])
        assert log.body.string_value == record["message"]
        assert log.severity_text == record["level"]
        assert log.event_name == f"aetherflow.{record['event']}"
    printed = [log for log in receiver.logs if log.event_name == "aetherflow.step_output"]
    assert sorted(log.body.string_value for log in printed) == ["north ***", "south ***", "south ***"]
    assert not any(SECRET.encode() in body for body in receiver.bodies)
    assert any(b"***" in body for body in receiver.bodies)


async def test_headers_and_an_endpoint_of_its_own_are_used_and_the_process_environment_is_not(
    traced: Watched, receiver: OtlpReceiver
) -> None:
    project = "version: 1\nsettings: {observers: [otel]}\nenv_files: [otel.env]\n"
    (traced.folder / "aetherflow.yaml").write_text(project)
    (traced.folder / "otel.env").write_text(
        f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={receiver.url}/mine/v1/traces\n"
        "OTEL_EXPORTER_OTLP_HEADERS=x-key=a%20b,x-other=2\n",
    )
    del traced.env["AETHERFLOW_OBSERVERS"], traced.env["OTEL_EXPORTER_OTLP_ENDPOINT"]

    await run(traced)

    assert receiver.spans
    assert (receiver.headers[0]["x-key"], receiver.headers[0]["x-other"]) == ("a b", "2")


@pytest.mark.parametrize(
    ("env", "request_"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, {}),
        ({}, {"traceparent": f"00-{OUTER_TRACE}-{OUTER_SPAN}-00"}),
    ],
)
async def test_nothing_is_sent_if_that_is_asked_for(
    traced: Watched, receiver: OtlpReceiver, env: dict[str, str], request_: dict[str, str]
) -> None:
    await run(traced, env, **request_)

    assert receiver.bodies == []


async def test_a_wrong_variable_is_reported_and_the_run_continues(traced: Watched) -> None:
    await traced.run({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    assert traced.status == "FAILED"  # by the step that fails
    assert traced.lost == {"otel": "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; allowed: http/protobuf"}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("is silent", "it did not answer in time"),
        ("rejects", "Failed to export spans batch code: 401, reason: Unauthorized"),
        ("breaks down", "Service Unavailable"),
    ],
)
async def test_a_receiver_that_does_not_take_them_costs_the_run_little_and_is_reported(
    traced: Watched, receiver: OtlpReceiver, kind: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1.5 if kind == "is silent" else 10.0  # who answers has the time to do so
    monkeypatch.setattr("aetherflow.observe.installed_observer.CLOSE_SECONDS", seconds)
    (traced.folder / "south").touch()
    receiver.status = {"is silent": 0, "rejects": 401}.get(kind, 200)
    receiver.later = 503 if kind == "breaks down" else None
    began = time.monotonic()

    # only a full batch is sent before the end, however long the run takes
    await traced.run({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_BSP_SCHEDULE_DELAY": "600000"})

    assert traced.status == "SUCCESS"
    assert time.monotonic() - began < 30
    assert f"spans did not reach {receiver.url}/v1/traces: " in traced.lost["otel"]
    assert why in traced.lost["otel"]
    assert len(receiver.spans) == (4 if kind == "breaks down" else 0)


async def test_a_receiver_that_is_not_there_is_a_warning_at_the_end(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    for name in ("north", "south"):
        (cli.folder / name).touch()
    with silent_port() as port:
        url = f"http://127.0.0.1:{port}"
        env = {"AETHERFLOW_OBSERVERS": "otel", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        done = await anyio.to_thread.run_sync(lambda: cli.run("run", "flow.yaml", env=env))

    assert done.code == 0
    assert f"spans did not reach {url}/v1/traces: [Errno 111] Connection refused" in done.err
    assert "Traceback" not in done.err
    assert "opentelemetry" not in done.err
    assert "urllib3" not in done.err


async def test_nothing_of_opentelemetry_is_imported_unless_it_is_chosen(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    cli.write(
        "site/looking.py",
        "import os, sys\n\ndef METRICS(event):\n"
        "    with open(os.environ['SEEN'], 'a') as seen:\n"
        "        print(*sorted(name for name in sys.modules if 'opentel' in name), file=seen)\n",
    )
    env = {"PYTHONPATH": str(cli.folder / "site"), "SEEN": str(cli.folder / "seen")}
    env["AETHERFLOW_METRICS_MODULE"] = "looking"

    await anyio.to_thread.run_sync(lambda: cli.run("run", "flow.yaml", env=env))

    assert set((cli.folder / "seen").read_text().splitlines()) == {""}
