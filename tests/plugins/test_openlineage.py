"""Runs as OpenLineage events: over HTTP and in a file, with the datasets of steps; receivers that fail."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.plugins.lineage_models import read_event
from tests.plugins.observed_runs import Watched
from tests.servers.http_server import Answer, HttpServer

pytestmark = pytest.mark.asyncio

SECRET = "hush-hush-8812"  # noqa: S105 - of this test
FLOW = """
version: 1
flow: {id: nightly, params: {api_token: {type: string, default: none}}}
resources:
  shop: {kind: db, driver: sqlite3, config: {path: shop.sqlite}}
  away: {kind: file, driver: local, config: {path: away}}
jobs:
- id: orders
  for_each: [1, 2]
  steps:
  - id: extract
    type: db_extract_stream
    inputs:
      resource: shop
      sql: >-
        select o.id, c.name from orders o join customers c
        on c.id = o.id and c.name <> '{{params.api_token}}'
      output: day.csv
      format: csv
  - id: load
    type: db_load
    inputs: {resource: shop, table: copies, source_path: '{{steps.extract.outputs.artifact_path}}'}
  - {id: send, type: file_upload_files, inputs: {resource: away, remote_dir: 'd{{item}}', items: [day.csv]}}
- id: check
  depends_on: [orders]
  steps:
  - id: look
    type: external.process
    retry: {max_attempts: 2, backoff_seconds: 0}
    inputs: {cwd: flow, command: [test, -e, go]}
- id: never
  when: params.api_token == "never"
  steps:
  - {id: say, type: external.process, inputs: {command: [echo, never]}}
"""
ENDS = ("COMPLETE", "FAIL", "ABORT")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        running.on("/api/v1/lineage", Answer(201))
        yield running


@pytest.fixture
def nightly(tmp_path: Path, server: HttpServer) -> Watched:
    (tmp_path / "away").mkdir()
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop:
        shop.executescript(
            "create table orders (id); create table customers (id, name); create table copies (id, name);"
            "insert into orders values (1), (2); insert into customers values (1, 'a'), (2, 'b');"
        )
    return Watched(tmp_path, FLOW, AETHERFLOW_OBSERVERS="openlineage", OPENLINEAGE_URL=server.url)


async def run(nightly: Watched, env: dict[str, str] | None = None, **request: Any) -> str:
    """Run the flow, or go on with it, and return how it ended; nothing may be lost."""
    await nightly.run(env, params={"api_token": SECRET}, **request)
    assert nightly.lost == {}
    return nightly.status


def sent(server: HttpServer) -> list[dict[str, Any]]:
    """Return the events in the order of their arrival; each is valid."""
    events = [request.json for request in server.requests]
    for event in events:
        read_event(event)
    return events


def of(events: list[dict[str, Any]], name: str, *kinds: str) -> list[dict[str, Any]]:
    """Return the events of a job."""
    return [one for one in events if one["job"]["name"] == name and one["eventType"] in (kinds or ENDS)]


async def test_every_run_job_and_attempt_starts_and_ends_below_its_parent(
    nightly: Watched, server: HttpServer
) -> None:
    day = datetime(2026, 1, 31, 3, 30, tzinfo=UTC)
    assert await run(nightly, {"OPENLINEAGE_NAMESPACE": "dwh"}, scheduled_at=day) == "FAILED"

    events = sent(server)
    assert {one["job"]["namespace"] for one in events} == {"dwh"}
    kinds: dict[str, list[str]] = {}
    for one in events:
        kinds.setdefault(one["run"]["runId"], []).append(one["eventType"])
    assert all(len(found) == 2 and found[0] == "START" and found[1] in ENDS for found in kinds.values())
    (whole,) = of(events, "nightly")
    (check,) = of(events, "nightly.check")
    assert (whole["eventType"], check["eventType"]) == ("FAIL", "FAIL")
    assert "parent" not in whole["run"]["facets"]
    root = {"job": {"name": "nightly", "namespace": "dwh"}, "run": {"runId": whole["run"]["runId"]}}
    looks = of(events, "nightly.check.look")
    assert [one["eventType"] for one in looks] == ["FAIL", "FAIL"]
    for one in looks:
        parent = one["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == check["run"]["runId"]
        assert parent["job"] == {"name": "nightly.check", "namespace": "dwh"}
        assert {
            key: {k: v for k, v in value.items() if k != "facets"} for key, value in parent["root"].items()
        } == root
        assert "exit code 1" in one["run"]["facets"]["errorMessage"]["message"]
    assert len({one["run"]["runId"] for one in looks}) == 2
    assert "exit code 1" in whole["run"]["facets"]["errorMessage"]["message"]
    assert len(of(events, "nightly.orders")) == 3
    assert of(events, "nightly.never", "START", *ENDS) == []
    assert whole["job"]["facets"]["jobType"]["jobType"] == "FLOW"
    assert check["job"]["facets"]["jobType"]["jobType"] == "JOB"
    assert looks[0]["run"]["facets"]["processing_engine"]["name"] == "AetherFlow"
    assert {one["run"]["facets"]["nominalTime"]["nominalStartTime"] for one in events} == {
        "2026-01-31T03:30:00Z"
    }
    assert SECRET not in json.dumps(events)


async def test_steps_name_the_tables_and_files_that_they_read_and_write(
    nightly: Watched, server: HttpServer
) -> None:
    (nightly.folder / "go").touch()
    records = await nightly.run(params={"api_token": SECRET})

    events = sent(server)
    database = f"sqlite://{nightly.folder}/shop.sqlite"
    files = []  # the instances run at once: which is first to end is open
    for extract in of(events, "nightly.orders.extract"):
        assert {(one["namespace"], one["name"]) for one in extract["inputs"]} == {
            (database, "orders"),
            (database, "customers"),
        }
        (file,) = extract["outputs"]
        assert (file["namespace"], file["name"][-8:]) == ("file", "/day.csv")
        assert file["outputFacets"]["outputStatistics"]["rowCount"] == 2
        assert extract["job"]["facets"]["sql"]["query"].startswith("select o.id, c.name from orders o")
        assert extract["job"]["facets"]["sql"]["query"].endswith("'***'")
        files.append(file["name"])
    read = []
    for load in of(events, "nightly.orders.load"):
        (source,) = load["inputs"]
        assert source["namespace"] == "file"
        (table,) = load["outputs"]
        assert (table["namespace"], table["name"]) == (database, "copies")
        assert table["outputFacets"]["outputStatistics"]["rowCount"] == 2
        read.append(source["name"])
    assert len(set(files)) == 2
    assert sorted(read) == sorted(files)
    written = [one["outputs"][0]["name"] for one in of(events, "nightly.orders.send")]
    assert sorted(written) == [f"{nightly.folder}/away/d{n}/day.csv" for n in (1, 2)]
    finished = [one for one in records if one["event"] == "step_finished"]
    stored = next(one for one in finished if one["step_id"] == "extract")
    assert stored["writes"] == [{"namespace": "file", "name": stored["outputs"]["artifact_path"], "rows": 2}]
    assert stored["statements"][0]["dialect"] == "sqlite"


async def test_a_resume_has_runs_of_its_own_and_an_outer_run_is_the_parent(
    nightly: Watched, server: HttpServer
) -> None:
    assert await run(nightly) == "FAILED"
    first = len(sent(server))
    (nightly.folder / "go").touch()
    outer = "0190a1b2-0000-7000-8000-000000000001"
    assert await run(nightly, {"OPENLINEAGE_PARENT_ID": f"ci/build/main/{outer}"}) == "SUCCESS"

    events = sent(server)
    before, after = events[:first], events[first:]
    assert not {one["run"]["runId"] for one in before} & {one["run"]["runId"] for one in after}
    (whole,) = of(after, "nightly")
    assert whole["run"]["facets"]["parent"]["run"]["runId"] == outer
    assert whole["run"]["facets"]["parent"]["job"] == {"namespace": "ci", "name": "build/main"}
    (look,) = of(after, "nightly.check.look")
    assert look["run"]["facets"]["parent"]["root"]["run"]["runId"] == outer
    assert of(after, "nightly.orders.extract") == []
    assert all(UUID(one["run"]["runId"]).version == 5 for one in events)


async def test_the_configuration_of_a_file_sends_them_into_a_file(
    nightly: Watched, server: HttpServer
) -> None:
    (nightly.folder / ".openlineage").mkdir()
    (nightly.folder / ".openlineage/openlineage.yml").write_text(
        f"transport: {{type: file, log_file_path: {nightly.folder}/events.ndjson, append: true}}\n"
    )
    (nightly.folder / "go").touch()

    assert await run(nightly) == "SUCCESS"

    events = [json.loads(line) for line in (nightly.folder / "events.ndjson").read_text().splitlines()]
    for event in events:
        read_event(event)
    assert len(of(events, "nightly")) == 1
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "env", "why"),
    [
        (Answer(401), {}, "401"),
        (Answer(wait_seconds=30), {}, "it did not answer in time"),
        (Answer(201), {"OPENLINEAGE_URL": "http://user:pass-word@127.0.0.1:9"}, "Connection refused"),
        (Answer(201), {"OPENLINEAGE_URL": ""}, "set OPENLINEAGE_URL"),
        (Answer(201), {"OPENLINEAGE_CONFIG": "nowhere.yml"}, "cannot read nowhere.yml"),
        (Answer(201), {"OPENLINEAGE__TRANSPORT": "7"}, "transport is int, where a mapping is expected"),
        (Answer(201), {"OPENLINEAGE__TRANSPORT__TYPE": "htp"}, "transport 'htp' cannot be used: Failed to"),
        (Answer(201), {"OPENLINEAGE_URL": "lineage"}, "transport 'http' cannot be used: Need valid url"),
    ],
)
async def test_a_receiver_that_fails_is_reported_and_the_run_ends_in_time(
    nightly: Watched,
    server: HttpServer,
    answer: Answer,
    env: dict[str, str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (nightly.folder / "go").touch()
    server.on("/api/v1/lineage", answer)
    seconds = 1.5 if answer.wait_seconds else 10.0  # who answers has the time to do so
    monkeypatch.setattr("aetherflow.observe.installed_observer.CLOSE_SECONDS", seconds)
    began = time.monotonic()

    await nightly.run(env)

    assert nightly.status == "SUCCESS"
    assert time.monotonic() - began < 25
    assert why in nightly.lost["openlineage"]
    assert "pass-word" not in nightly.lost["openlineage"]
    assert caplog.records == []


async def test_it_is_disabled_by_the_standard_variable(nightly: Watched, server: HttpServer) -> None:
    await run(nightly, {"OPENLINEAGE_DISABLED": "true"})

    assert server.requests == []
