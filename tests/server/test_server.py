"""A server is a list of services: also without scheduler files, and with services of another kind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from aetherflow.cli.observers import ShowOptions, chosen_observers
from aetherflow.config.settings import Settings
from aetherflow.errors import StateError
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.observe import time_order
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.run_ticket import RunReport, RunTicket
from aetherflow.server import recover_runs
from aetherflow.server.open_server import Server
from aetherflow.server.server import SERVICES, ServeRequest, serve
from aetherflow.testing.recorder import Recorder
from tests.runs.executions import Seen
from tests.runs.run_parts import Place, flow

pytestmark = pytest.mark.asyncio

ONE = flow("{id: a, steps: [{id: s, type: probe, inputs: {x: 1}}]}")


async def test_a_server_without_files_runs_the_services_that_it_is_given(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    recorder, seen, others = Recorder(), Seen(), Seen()

    async def api(server: Server) -> None:
        file = place.write(ONE)
        await server.run_pool.submit(RunTicket(run_id="mine", flow_file=file), seen)
        await server.run_pool.submit(RunTicket(run_id="theirs", flow_file=file), others)
        await seen.until("mine", "ended")
        await others.until("theirs", "ended")
        server.report("a service has a problem")
        os.kill(os.getpid(), signal.SIGTERM)

    code = await serve(
        ServeRequest(files=(), state=place.state),
        [ObserverSpec("recorder", lambda: recorder, "wait")],
        services=[*SERVICES, api],
        process_env=place.env,
    )
    assert code == 128 + signal.SIGTERM
    assert seen.reports == {"mine": RunReport("mine", "SUCCESS", 0, state=str(place.state))}, (
        "each ticket has its own observer"
    )
    assert others.reports == {"theirs": RunReport("theirs", "SUCCESS", 0, state=str(place.state))}
    notices: list[Any] = [event for event in recorder.events if isinstance(event, ScheduleNotice)]
    assert [(one.scheduler, one.message) for one in notices] == [
        ("", "a service has a problem"),
        ("", "the server stops: nothing runs"),
    ]


async def test_the_json_lines_of_runs_at_the_same_time_stand_in_order(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(time_order, "HOLD_SECONDS", 60)  # a slow machine takes longer than 0.3 s to store
    events = tmp_path / "events.jsonl"
    seen, runs = Seen(), [f"r{number}" for number in range(20)]

    async def submitter(server: Server) -> None:
        file = place.write(ONE)
        for run in runs:
            await server.run_pool.submit(RunTicket(run_id=run, flow_file=file), seen)
        for run in runs:
            await seen.until(run, "ended")
        os.kill(os.getpid(), signal.SIGTERM)

    settings = Settings(state_root=tmp_path, work_root=tmp_path, log_format="json")
    observers = await chosen_observers(
        ShowOptions(events=str(events)), settings, many_runs=True, in_order=True
    )
    await serve(
        ServeRequest(files=(), state=place.state),
        observers,
        services=[*SERVICES, submitter],
        process_env=place.env,
    )
    for text in (capfd.readouterr().out, events.read_text(encoding="utf-8")):
        lines = [json.loads(line) for line in text.splitlines()]
        assert {line.get("run_id") for line in lines} >= set(runs)
        assert "the server stops: nothing runs" in {line.get("message") for line in lines}, "none is lost"
        times = [line["timestamp"] for line in lines]
        assert times == sorted(times)


async def test_a_run_that_takes_longer_than_its_item_allows_fails_and_its_hooks_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    seen = Seen()
    noted = place.state.parent / "noted"
    text = (
        "version: 1\nflow:\n  id: slow\n  on_failure:\n"
        f"  - {{id: note, type: external.process, inputs: {{command: [touch, {noted}]}}}}\n"
        "jobs:\n- {id: a, steps: [{id: s, type: external.process, inputs: {command: [sleep, '60']}}]}\n"
    )

    async def submitter(server: Server) -> None:
        file = place.write(text)
        await server.run_pool.submit(RunTicket(run_id="slow", flow_file=file, item_timeout_seconds=0.5), seen)
        await seen.until("slow", "ended")
        os.kill(os.getpid(), signal.SIGTERM)

    await serve(
        ServeRequest(files=(), state=place.state),
        [],
        services=[*SERVICES, submitter],
        process_env=place.env,
    )
    report = seen.reports["slow"]
    assert isinstance(report, RunReport)
    assert report.status == "FAILED"
    assert report.reason == "the timeout_seconds of the schedule item passed after 0.5 s"
    assert noted.exists()


async def test_a_database_that_fails_while_a_server_looks_for_left_runs_does_not_end_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    async def fails_once(*_: object) -> list[RunTicket]:
        looks.append(1)
        if len(looks) == 1:
            raise StateError("the disk is slow")
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    monkeypatch.setattr(recover_runs, "recovery_tickets", fails_once)
    code = await serve(ServeRequest(files=(), state=place.state), [], process_env=place.env)
    assert (code, len(looks)) == (128 + signal.SIGTERM, 2)
