"""The metrics of a server that runs: what it executes, its schedule, its pools, its database."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from aetherflow.clock import SystemClock
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.observe.metric_fold import MetricsFold
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.run_ticket import RunTicket
from aetherflow.server import metric_gauges, metrics_service
from aetherflow.server.metric_gauges import ServerGauges
from aetherflow.server.metrics_address import listening, read_address
from aetherflow.server.metrics_service import MetricsService
from aetherflow.server.open_server import Server
from aetherflow.server.server import SERVICES, ServeRequest, serve
from aetherflow.store.pools import set_pool
from aetherflow.testing.recorder import Recorder
from tests.runs.executions import Seen
from tests.runs.run_parts import Place, flow

pytestmark = pytest.mark.asyncio
ONE = flow("{id: a, steps: [{id: s, type: probe, inputs: {x: 1}}]}")
Samples = dict[tuple[str, ...], float]
Work = Callable[[Server, str], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request reads again."""
    monkeypatch.setattr(metrics_service, "FRESH_SECONDS", 0.0)


async def scraped(url: str) -> Samples:
    """Return the samples of a server, by name and label values."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def samples(text: str) -> Samples:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def served(place: Place, work: Work, *files: Path, address: str = "0") -> Recorder:
    """Serve with metrics while `work` runs; it gets the address as a URL. Return what was reported."""
    fold, recorder = MetricsFold(), Recorder()
    async with listening(read_address(address)) as found:
        service = MetricsService(found, fold)

        async def working(server: Server) -> None:
            with anyio.fail_after(30):
                await work(server, f"http://127.0.0.1:{found.address.port}")
            os.kill(os.getpid(), signal.SIGTERM)

        await serve(
            ServeRequest(files=files, state=place.state),
            [
                ObserverSpec("prometheus", lambda: fold),
                ObserverSpec("recorder", lambda: recorder, "wait"),
            ],
            services=[*SERVICES, service.run, working],
            process_env=place.env,
        )
    return recorder


@pytest.fixture
def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs see the environment of the place."""
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)


async def until(url: str, key: tuple[str, ...], value: float) -> Samples:
    """Scrape until a sample has a value: observers follow behind."""
    found = await scraped(url)
    while found.get(key) != value:
        found = await scraped(url)
    return found


@pytest.mark.usefixtures("environment")
async def test_a_run_and_the_state_of_the_server_are_shown(place: Place) -> None:
    seen = Seen()

    async def work(server: Server, url: str) -> None:
        await server.run_pool.submit(RunTicket(run_id="r", flow_file=place.write(ONE)), seen)
        found = await until(url, ("aetherflow_runs_total", "demo", "SUCCESS"), 1)
        assert found["aetherflow_flow_last_run_successful", "demo"] == 1
        assert found["aetherflow_step_duration_seconds_count", "SUCCESS", "probe"] == 1
        await seen.until("r", "ended")
        found = await until(url, ("aetherflow_runs_running",), 0)
        assert found["aetherflow_server_decides",] == 1
        assert found["aetherflow_state_db_up",] == 1
        assert found["aetherflow_state_db_bytes",] == place.state.stat().st_size
        assert found["aetherflow_run_slots",] == 8
        assert found["aetherflow_process_start_time_seconds",] > 0
        assert [key for key in found if key[0] == "aetherflow_build_info"]
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
            assert "openmetrics-text" in answer.headers["content-type"]
            assert "aetherflow_runs" in {family.name for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]
            assert (await client.get(f"{url}/health")).json() == {"status": "active"}
            assert (await client.get(f"{url}/nothing")).status_code == 404
        server.run_pool._is_draining = True
        found = await scraped(url)
        assert (found["aetherflow_server_decides",], found["aetherflow_server_stopping",]) == (0, 1)

    await served(place, work)


@pytest.mark.usefixtures("environment")
async def test_what_was_before_the_server_started_is_read_from_its_database(place: Place) -> None:
    await place.run(ONE)
    ended = datetime.fromisoformat(place.query("SELECT finished_at FROM run_state")[0][0])
    raw = sqlite3.connect(place.state)
    raw.execute(
        "INSERT INTO firings "
        "(scheduler, item_id, scheduled_at, cause, decided_at, outcome, finished_at, due_at) "
        "VALUES ('night', 'a', '2026-01-01', 'tick', '2026-01-01', 'SUCCESS', '2026-01-01T02:00:00Z', '')"
    )
    raw.commit()
    raw.close()
    file = place.write(
        "version: 1\nid: night\nitems:\n"
        "- {id: a, at: '2099-01-01T00:00', timezone: UTC, deadline: {longer_than: 1h}, "
        "flow_yaml: flow.yaml}\n"
        "- {id: b, at: '2099-01-01T00:00', flow_yaml: gone.yaml, enabled: false}\n",
        "night.yaml",
    )

    async def work(server: Server, url: str) -> None:
        await server.database.transact(
            lambda raw: raw.execute(
                "INSERT INTO pauses (scheduler, item_id, paused_at, reason, paused_by) "
                "VALUES ('night', 'a', '2026-01-01T00:00:00Z', 'x', 'me')"
            )
        )
        found = await until(url, ("aetherflow_schedule_items_broken", "night"), 1)
        assert found["aetherflow_flow_last_success_timestamp_seconds", "demo"] == ended.timestamp()
        assert found["aetherflow_flow_last_run_successful", "demo"] == 1
        moment = datetime(2026, 1, 1, 2, tzinfo=UTC).timestamp()
        assert found["aetherflow_item_last_success_timestamp_seconds", "a", "night"] == moment
        moment = datetime(2099, 1, 1, tzinfo=UTC).timestamp()
        assert found["aetherflow_item_next_firing_timestamp_seconds", "a", "night"] == moment
        assert ("aetherflow_item_next_firing_timestamp_seconds", "b", "night") not in found
        assert found["aetherflow_item_paused", "a", "night"] == 1
        assert found["aetherflow_item_paused", "b", "night"] == 0
        assert found["aetherflow_schedule_items", "night"] == 2
        assert found["aetherflow_schedule_last_reload_successful", "night"] == 1
        assert found["aetherflow_firings_total", "a", "FAILED", "night"] == 0
        assert found["aetherflow_firings_late_total", "long", "a", "night"] == 0
        assert ("aetherflow_firings_late_total", "long", "b", "night") not in found
        file.write_text("version: 1\nid: night\nitems: [\n")
        server.reloader.reload_soon()
        await until(url, ("aetherflow_schedule_last_reload_successful", "night"), 0)

    await served(place, work, file)


@pytest.mark.usefixtures("environment")
async def test_pools_are_shown_with_who_waits_and_for_how_long(place: Place) -> None:
    async def work(server: Server, url: str) -> None:
        now = SystemClock().now()
        await server.database.transact(lambda raw: set_pool(raw, "db", 2, now))
        row = (
            "INSERT INTO pool_claims (pool, slots, run_id, holder, owner, asked_at, granted_at, expires_at) "
        )
        owner = '{"host": "elsewhere", "pid": 1, "started": ""}'
        until_then, asked = (now + timedelta(hours=1)).isoformat(), (now - timedelta(hours=1)).isoformat()

        def claims(raw: sqlite3.Connection) -> None:
            values = "VALUES ('db', 2, 'r', 'step', ?, ?, ?, ?)"
            raw.execute(row + values, (owner, asked, asked, until_then))
            raw.execute(row + values, (owner, asked, None, until_then))

        await server.database.transact(claims)
        found = await scraped(url)
        assert found["aetherflow_pool_slots", "db"] == 2
        assert found["aetherflow_pool_slots_used", "db"] == 2
        assert found["aetherflow_pool_steps_waiting", "db"] == 1
        assert 3600 <= found["aetherflow_pool_longest_wait_seconds", "db"] < 3700
        await server.database.transact(lambda raw: raw.execute("DELETE FROM pool_claims"))
        await server.database.transact(lambda raw: raw.execute("DELETE FROM pools"))
        assert ("aetherflow_pool_slots", "db") not in await scraped(url)

    await served(place, work)


@pytest.mark.usefixtures("environment")
async def test_a_database_that_does_not_answer_takes_only_its_own_metrics_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(server: Server, url: str) -> None:
        free, held = threading.Event(), anyio.Event()
        token = anyio.lowlevel.current_token()

        def hold(_: sqlite3.Connection) -> None:
            anyio.from_thread.run_sync(held.set, token=token)
            free.wait(30)

        assert (await scraped(url))["aetherflow_state_db_up",] == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.database.read, hold)
            await held.wait()
            with monkeypatch.context() as patched:
                # Not before: a slow machine takes as long when all is well.
                patched.setattr(metric_gauges, "READ_SECONDS", 0.1)
                for _number in range(2):
                    found = await scraped(url)
                    assert found["aetherflow_state_db_up",] == 0
                    assert found["aetherflow_runs_running",] == 0
            free.set()
        await until(url, ("aetherflow_state_db_up",), 1)

    await served(place, work)


@pytest.mark.usefixtures("environment")
async def test_an_address_that_other_machines_reach_is_a_warning(place: Place) -> None:
    async def work(_: Server, url: str) -> None:
        assert (await scraped(url))["aetherflow_state_db_up",] == 1

    recorder = await served(place, work, address="0.0.0.0:0")
    notices = recorder.of(ScheduleNotice)
    assert [one.code for one in notices if one.level == "warning"] == ["AF893"]
    assert any("metrics are served at http://0.0.0.0:" in one.message for one in notices)


@pytest.mark.usefixtures("environment")
async def test_a_bug_in_the_metrics_is_reported_once_and_the_server_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    async def work(_: Server, url: str) -> None:
        monkeypatch.setattr(metric_gauges, "_set_pools", broken)
        for _number in range(2):
            assert (await scraped(url))["aetherflow_state_db_up",] == 0
        monkeypatch.setattr(ServerGauges, "_set_server", broken)
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{url}/metrics")).status_code == 500
            assert (await client.get(f"{url}/health")).status_code == 200

    recorder = await served(place, work)
    problems = [one.message for one in recorder.of(ScheduleNotice) if "KeyError" in one.message]
    assert problems == ["not all metrics could be served: KeyError: 'x'"]
