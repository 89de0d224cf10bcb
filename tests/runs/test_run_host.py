"""Many runs in one process: they share the writer of a database, and nothing else."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.runs.run_host import RunHost
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket
from aetherflow.sdk.context import StepContext
from tests.polling import eventually
from tests.runs.hosted import lives, serving
from tests.runs.run_parts import ACTIONS, Place, flow

pytestmark = pytest.mark.asyncio

ONE = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: act}}]}")


class Meeting:
    """A step action in which runs wait until so many of them are there."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.present: list[str] = []
        self.complete = anyio.Event()

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> None:
        """Come, and wait for the others."""
        del inputs
        self.present.append(context.run_id)
        if len(self.present) >= self.number:
            self.complete.set()
        with anyio.fail_after(60):
            await self.complete.wait()


async def test_runs_on_one_database_share_its_connection_which_closes_after_the_last(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_meanwhile: list[list[Path]] = []
    handlers: list[Any] = []
    meeting = Meeting(3)

    async def act(context: StepContext, inputs: dict[str, Any]) -> None:
        await meeting(context, inputs)
        open_meanwhile.append(server.host.states.paths)
        handlers.append(signal.getsignal(signal.SIGTERM))

    ACTIONS["act"] = act
    before = signal.getsignal(signal.SIGTERM)
    async with serving(place, monkeypatch) as server:
        for run_id in ("r1", "r2", "r3"):
            await server.submit(ONE, run_id)
        assert [await server.status(run_id) for run_id in ("r1", "r2", "r3")] == ["SUCCESS"] * 3
        assert await server.run_pool.drain(0)
        assert server.host.states.paths == []
    assert open_meanwhile == [[place.state]] * 3
    assert handlers == [before] * 3  # a run beside others is no place for signals
    assert place.query("SELECT run_id, status FROM runs ORDER BY 1") == [
        (run_id, "SUCCESS") for run_id in ("r1", "r2", "r3")
    ]
    assert place.query("SELECT count(*) FROM leases WHERE released_at IS NULL") == [(0,)]
    assert all(server.seen.of(run_id) == ["queued", "started", "ended"] for run_id in ("r1", "r2", "r3"))


async def test_each_run_has_the_environment_and_the_flow_of_the_moment_it_begins(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting(2)
    ACTIONS["act"] = meeting
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {do: act}},"
        " {id: t, type: probe, inputs: {day: '{{env.DAY}}'}}]}"
    )
    async with serving(place, monkeypatch) as server:
        monkeypatch.setenv("DAY", "monday")
        await server.submit(text, "r1")
        await server.seen.until("r1", "started")
        monkeypatch.setenv("DAY", "tuesday")
        await server.submit(text, "r2")
        assert await server.status("r1") == await server.status("r2") == "SUCCESS"
        await server.submit(text.replace("do: act", "do: nothing").replace("{{env.DAY}}", "edited"), "r3")
        assert await server.status("r3") == "SUCCESS"
    days = place.query(
        "SELECT json_extract(outputs, '$.day') FROM step_state WHERE step_id = 't' ORDER BY run_id"
    )
    assert days == [("monday",), ("tuesday",), ("edited",)]


async def test_what_breaks_one_run_touches_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = anyio.Event()

    async def wait(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await sound.wait()

    async def spoil(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        lock_table = context._services.locks
        await lock_table.database.transact(lambda raw: raw.execute("DROP TABLE job_state"))  # type: ignore[attr-defined]

    def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        sys.exit(3)

    async def panic(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise BaseException("a panic")  # noqa: TRY002 - what a library in Rust raises is no Exception either

    async def cancelled(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise asyncio.CancelledError

    ACTIONS.update(act=wait, spoil=spoil, leave=leave, panic=panic, cancelled=cancelled)
    plugin = place.folder / "broken_plugin.py"
    plugin.write_text("raise SystemExit('this module ends the process')\n")
    own = f"state: {{path: {place.folder}/own.sqlite}}"
    async with serving(place, monkeypatch, slots=8) as server:
        await server.submit(ONE, "sound")
        await server.seen.until("sound", "started")
        monkeypatch.setenv("AETHERFLOW_SECRETS_PATH", str(plugin))
        await server.submit(ONE, "plugin")
        assert "REFUSED" in await server.status("plugin")
        monkeypatch.delenv("AETHERFLOW_SECRETS_PATH")
        await server.submit(
            flow("{id: a, steps: [{id: s, type: probe, inputs: {do: spoil}}]}", head=own), "own"
        )
        spoiled = await server.outcome("own")
        for action in ("leave", "panic", "cancelled"):
            await server.submit(ONE.replace("do: act", f"do: {action}"), action)
            assert await server.status(action) == "FAILED"
        at_a_folder = f"state: {{path: {place.folder}}}"
        await server.submit(flow("{id: a, steps: [{id: s, type: probe}]}", head=at_a_folder), "folder")
        assert "it is a folder" in await server.status("folder")
        assert [run.ticket.run_id for run in server.run_pool.running()] == ["sound"]
        sound.set()
        assert await server.status("sound") == "SUCCESS"
    assert isinstance(spoiled, RunReport)
    assert (spoiled.status, spoiled.code) == ("INTERRUPTED", "AF600")
    assert "job_state" in spoiled.reason
    assert server.problems == []


async def test_an_invalid_flow_is_refused_with_its_findings_and_leaves_no_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(place, monkeypatch) as server:
        await server.submit(
            "version: 1\nflow: {id: demo}\njobs: [{id: a, steps: [{id: s, typ: probe}]}]\n", "r1"
        )
        refusal = await server.outcome("r1")
        await server.run_pool.submit(RunTicket(run_id="r2", flow_file=place.folder / "none.yaml"))
        assert "none.yaml" in await server.status("r2")
    assert isinstance(refusal, Refusal)
    assert "r1.yaml:3" in refusal.reason
    assert refusal.code.startswith("AF1")
    assert [diagnostic.severity for diagnostic in refusal.diagnostics].count("error") >= 1
    assert server.seen.of("r1") == ["queued", "refused"]
    assert not place.state.exists()


async def test_a_run_that_another_process_has_is_refused_with_who_has_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting(2)
    ACTIONS["act"] = meeting
    async with serving(place, monkeypatch) as server, serving(place, monkeypatch) as other:
        await server.submit(ONE, "r1")
        await server.seen.until("r1", "started")
        await other.submit(ONE, "r1")
        refusal = await other.outcome("r1")
        meeting.complete.set()
        assert await server.status("r1") == "SUCCESS"
    assert isinstance(refusal, Refusal)
    assert (refusal.code, "run r1 is being executed by process" in refusal.reason) == ("AF610", True)


async def test_a_cancelled_run_ends_alone_and_a_forced_one_with_what_resists(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = [place.folder / f"{name}.pid" for name in ("stubborn", "meek")]
    inputs = "{{command: [sh, -c, '{}'], kill_grace_seconds: {}}}"
    shell = f"{{{{id: a, steps: [{{{{id: s, type: external.process, inputs: {inputs}}}}}]}}}}"
    stubborn = flow(shell.format(f'trap "" TERM; echo $$ > {pids[0]}; while :; do sleep 1; done', 600))
    meek = flow(shell.format(f"echo $$ > {pids[1]}; sleep 600", 5))
    async with serving(place, monkeypatch) as server:
        await server.submit(stubborn, "stubborn")
        await server.submit(meek, "meek")
        assert await eventually(lambda: all(map(lives, pids)))
        await server.run_pool.cancel("stubborn", "enough")
        reason = "SELECT reason FROM run_state WHERE run_id = 'stubborn'"
        assert await eventually(lambda: place.query(reason) == [("enough",)])
        assert [lives(pid) for pid in pids] == [True, True]
        server.run_pool._active["stubborn"].control.force()
        stopped = await server.outcome("stubborn")
        assert [lives(pid) for pid in pids] == [False, True]
        assert [run.ticket.run_id for run in server.run_pool.running()] == ["meek"]
        assert await server.run_pool.drain(0)
        assert await server.status("meek") == "CANCELLED"
    assert stopped == RunReport(
        "stubborn",
        "CANCELLED",
        130,
        reason="enough",
        state=str(place.state),
        resume=f"aetherflow runs retry stubborn --state {place.state}",
    )
    assert [lives(pid) for pid in pids] == [False, False]


async def test_the_leftovers_of_a_run_go_with_it_and_those_of_others_stay(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, busy = place.folder / "left.pid", place.folder / "busy.pid"
    shell = "{{id: a, steps: [{{id: s, type: external.process, inputs: {{command: [sh, -c, '{}']}}}}]}}"
    leaves = flow(shell.format(f"setsid sleep 600 > /dev/null 2>&1 & echo $! > {left}"))
    works = flow(shell.format(f"setsid sleep 600 > /dev/null 2>&1 & echo $! > {busy}; wait"))
    async with serving(place, monkeypatch) as server:
        await server.submit(works, "busy")
        assert await eventually(lambda: lives(busy))
        await server.submit(leaves, "r1")
        assert await server.status("r1") == "SUCCESS"
        assert (lives(left), lives(busy)) == (False, True)
    assert not lives(busy)


async def test_the_scheduled_time_is_what_templates_see_also_after_a_resume(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {at: '{{run.scheduled_at}}'}}]}",
        "{id: b, steps: [{id: t, type: probe, inputs: {do: fail, at: '{{run.scheduled_at}}'}}]}",
    )

    def fail(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del context
        if not (place.folder / "go").exists():
            raise RuntimeError("not yet")
        return inputs

    ACTIONS["fail"] = fail
    async with serving(place, monkeypatch) as server:
        await server.submit(text, "r1", scheduled_at=datetime(2026, 3, 29, 1, 30, tzinfo=UTC))
        assert await server.status("r1") == "FAILED"
        (place.folder / "go").touch()
        server.seen.reports.clear()
        await server.submit(text, "r1")
        assert await server.status("r1") == "SUCCESS"
    seen = place.query("SELECT json_extract(outputs, '$.at') FROM step_state ORDER BY step_id")
    assert seen == [("2026-03-29T01:30:00Z",), ("2026-03-29T01:30:00Z",)]


async def test_the_loop_keeps_running_while_a_large_flow_is_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        f"{{id: j{n}, when: false, steps: [{{id: s, type: probe, inputs: {{x: '{{{{run_id}}}}'}}}}]}}"
        for n in range(1500)
    ]
    loaded, ticks = anyio.Event(), 0
    host = RunHost()
    async with serving(place, monkeypatch, host=host) as server, anyio.create_task_group() as tasks:

        async def tick() -> None:
            nonlocal ticks
            while not loaded.is_set():
                ticks += 1
                await anyio.sleep(0.005)

        tasks.start_soon(tick)
        await server.submit(flow(*jobs), "r1")
        await server.seen.until("r1", "started")
        loaded.set()
        assert await server.status("r1") == "SUCCESS"
    assert ticks > 10  # reading it takes a good part of a second, in which a blocked loop would tick once


async def test_a_server_that_died_between_its_claim_and_its_resume_of_a_failed_run_has_not_ended_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        if not (place.folder / "mended").exists():
            raise ValueError("broken")

    ACTIONS["act"] = act
    for number, on_crash in enumerate(("resume", "fail")):
        (place.folder / "mended").unlink(missing_ok=True)
        run_id, host = f"r{number}", RunHost(on_crash=on_crash)  # type: ignore[arg-type]  # a literal
        async with serving(place, monkeypatch, host=host) as server:
            await server.submit(ONE, run_id)
            assert await server.status(run_id) == "FAILED"
        before, claimed_at = datetime.fromtimestamp(0, UTC), datetime.now(UTC)
        (place.folder / "mended").touch()
        async with serving(place, monkeypatch, host=host) as server:  # its end is what counts
            await server.submit(ONE, run_id, is_recovery=True, claimed_at=before)
            assert (
                await server.status(run_id)
                == f"REFUSED: run {run_id} was left INTERRUPTED, but has ended FAILED meanwhile"
            )
        async with serving(place, monkeypatch, host=host) as server:
            await server.submit(ONE, run_id, is_recovery=True, claimed_at=claimed_at)
            assert await server.status(run_id) == "SUCCESS"
    ACTIONS.clear()
