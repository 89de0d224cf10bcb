"""The dates of firings: those of the tick, in the zone of its flow or item, whenever it runs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.runs.ports import ObserverSpec
from aetherflow.server.open_server import Server
from aetherflow.server.server import SERVICES, ServeRequest, serve
from aetherflow.testing.recorder import Recorder
from tests.cli.command_line import CommandLine
from tests.runs.run_parts import Place

FLOW = """
version: 1
flow:
  id: f
  params:
    day: {type: date, default: yesterday}
    src: {type: path, default: in.csv}
    note: {default: ""}
jobs:
  - id: a
    steps:
      - id: s
        type: check_items
        inputs: {items: [x]}
        outputs: {dates: "{{run.date}} {{yesterday}} {{params.day}} {{run.scheduled_at | format: %H:%M}}",
                  note: "{{params.note:none}}", src: "{{params.src}}"}
"""
PAST = "misfire_grace_time: 315360000, flow_yaml: flow.yaml"
"""An item that is late by years still runs."""
IN_TOKYO = PAST.replace("flow.yaml", "tokyo.yaml")


async def serve_until(place: Place, items: str, runs: int) -> tuple[dict[str, Any], Recorder]:
    """Serve items of the past until so many runs have ended; return the outputs of their jobs by item."""
    place.write(f"version: 1\nid: s\nstate: {{path: {place.state}}}\nitems:\n{items}", "scheduler.yaml")
    recorder = Recorder()
    found: dict[str, Any] = {}

    async def watch(server: Server) -> None:
        with anyio.move_on_after(30):
            while True:
                rows = await server.database.read(
                    lambda raw: raw.execute(
                        "SELECT item_id, outputs FROM firings JOIN job_state USING (run_id)"
                        " WHERE firings.outcome = 'SUCCESS' AND outputs IS NOT NULL"
                    ).fetchall()
                )
                found.update({item: json.loads(outputs) for item, outputs in rows})
                if len(found) >= runs and warnings(recorder):
                    break
                await anyio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    await serve(
        ServeRequest(files=(place.folder / "scheduler.yaml",)),
        [ObserverSpec("recorder", lambda: recorder, "wait")],
        services=[*SERVICES, watch],
        process_env=place.env,
    )
    return found, recorder


@pytest.mark.asyncio
async def test_a_late_firing_has_the_dates_of_its_tick(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    place.write(FLOW, "flow.yaml")
    place.write(FLOW.replace("id: f\n", "id: g\n  timezone: Asia/Tokyo\n", 1), "tokyo.yaml")
    found, recorder = await serve_until(
        place,
        f"- {{id: utc, at: '2026-03-29T00:30', {PAST}}}\n"
        f"- {{id: berlin, at: '2026-03-29T00:30', timezone: Europe/Berlin, {PAST}}}\n"
        f"- {{id: tokyo, at: '2026-03-28T23:30', timezone: Europe/Berlin, {IN_TOKYO}}}\n"
        f"- {{id: own, at: '2026-03-29T00:30', timezone: Europe/Berlin, {PAST},\n"
        "   params: {day: 'today/mo-1d', src: files/x.csv, note: 'of {{run.date - 1d | format: %Y%m%d}}'}}\n"
        f"- {{id: wrong, at: '2026-03-29T00:30', {PAST}, params: {{day: soon}}}}\n",
        runs=4,
    )
    assert {item: outputs["dates"] for item, outputs in found.items()} == {
        "utc": "2026-03-29 2026-03-28 2026-03-28 00:30",
        "berlin": "2026-03-29 2026-03-28 2026-03-28 00:30",
        "tokyo": "2026-03-29 2026-03-28 2026-03-28 07:30",
        "own": "2026-03-29 2026-03-28 2026-02-28 00:30",
    }
    assert (found["own"]["note"], found["utc"]["note"]) == ("of 20260328", "none")
    assert found["own"]["src"] == str(place.folder / "files/x.csv")
    assert found["utc"]["src"] == str(place.folder / "in.csv")
    assert any("the parameter 'day' must be a date" in line for line in warnings(recorder))


def warnings(recorder: Recorder) -> list[str]:
    """Return the warnings of the server about the last item of the scheduler file."""
    notices = [event for event in recorder.events if isinstance(event, ScheduleNotice)]
    return [one.message for one in notices if one.level == "warning" and "scheduler.yaml:10:" in one.message]


def lines(cli: CommandLine, items: str) -> list[str]:
    cli.write("scheduler.yaml", "version: 1\nitems:\n" + items)
    return [line for line in cli.run("validate", "scheduler.yaml").err.splitlines() if "error[" in line]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("", "4:3: error[AF208]: item 'a': the parameter 'mode' is required (enum, one of full, delta)"),
        ("mode: half", "4:49: error[AF208]: item 'a': the parameter 'mode' must be one of full, delta"),
        ("mode: full, day: '{{run.date - 1d}}'", ""),
        ("mode: full, day: yesterday", ""),
        ("mode: full, day: '{{run.date-1d}}'", "error[AF208]: {{run.date-1d}} is not known in the params"),
        (
            "mode: full, day: '{{params.x}}'",
            "error[AF208]: {{params.x}} is not known in the params of an item",
        ),
        ("mode: full, day: '{{run.date - 1h}}'", "error[AF208]: {{run.date - 1h}} cannot be calculated"),
        ("mode: full, day: '{{today | upper}}'", "error[AF401]"),
        ("mode: full, day: '{{today - 9999y}}'", "outside of the calendar"),
        ("mode: full, day: '{{run.timezone}}'", "error[AF208]: item 'a': the parameter 'day' must be a date"),
    ],
)
def test_the_params_of_an_item_are_checked_with_its_file(tmp_path: Path, params: str, said: str) -> None:
    cli = CommandLine(tmp_path)
    cli.write(
        "flow.yaml",
        "version: 1\nflow:\n  id: f\n"
        "  params: {day: {type: date, default: today}, mode: {type: enum, enum: [full, delta]}}\n"
        "jobs:\n  - {id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}\n",
    )
    given = f", params: {{{params}}}" if params else ""
    found = lines(cli, f"\n- {{id: a, cron: '@daily', flow_yaml: flow.yaml{given}}}\n")
    assert len(found) == bool(said)
    assert said in "".join(found)
