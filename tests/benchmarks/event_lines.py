"""Benchmarks of events: stored and logged, against an encoder and a logger alone; the cost of observing."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

import anyio
import msgspec
import structlog
from measure import Row, Timed, interleaved, stopwatch

from aetherflow.clock import SystemClock
from aetherflow.events.run_events import StepFinished
from aetherflow.execution.bus import Bus
from aetherflow.observe.log import LogObserver
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run

EVENTS = 20_000
BATCH = 100
STEPS = 10_000


def event_lines(folder: Path, rounds: int) -> Iterator[Row]:
    """Events through bus, journal and JSON log, and a run that is observed in all ways or in none."""
    stored = _timed(partial(_stored_and_logged, folder))
    what = f"{EVENTS:,} events: bus, journal, JSON log"
    for against, floor, target in (("structlog alone", _structlog, "<= 2x"), ("msgspec alone", _msgspec, "")):
        yield Row(what, against, *interleaved(stored, _timed(partial(floor, folder)), rounds), target)
    flow = folder / "observed.yaml"
    flow.write_text(
        f"version: 1\nflow: {{id: observed, state: {{path: {folder}/observed.sqlite}}, "
        f"workspace: {{root: {folder}/work}}}}\njobs:\n"
        + "".join(f"- {{id: j{job}, steps: [{_steps()}]}}\n" for job in range(STEPS // 100))
    )
    on, off = _run(flow, "observed"), _run(flow)
    what = f"{STEPS:,} steps, JSON log and --events"
    yield Row(what, "not observed", *interleaved(on, off, rounds), "<= 1.15x")


def _steps() -> str:
    step = "type: check_items, inputs: {items: [x]}"
    return ", ".join(f"{{id: s{number}, {step}}}" for number in range(100))


def _timed(work: Callable[[], object]) -> Timed:
    def run() -> float:
        read = stopwatch()
        work()
        return read()

    return run


def _event(number: int) -> StepFinished:
    return StepFinished(
        at=datetime.now(UTC),
        flow_id="f",
        run_id="r",
        job_id=f"j{number % 10}",
        step_id=f"s{number % 3}",
        step_type="t",
        status="SUCCESS",
        duration_seconds=0.1,
        outputs={"n": number},
    )


def _stored_and_logged(folder: Path) -> None:
    for stale in folder.glob("events.sqlite*"):
        stale.unlink()
    with (folder / "log").open("w", encoding="utf-8") as stream:
        anyio.run(_store_and_log, folder / "events.sqlite", stream)


async def _store_and_log(path: Path, stream: TextIO) -> None:
    clock, database = SystemClock(), await Database.open(path)
    claim = await claim_run(database, "r", this_process(), clock)
    bus = Bus(Journal(database).of_run(claim.lease, claim.next_seq), clock)
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "log", LogObserver(stream, format="json", level="info"), when_full="wait")
        for first in range(0, EVENTS, BATCH):
            await bus.publish([_event(number) for number in range(first, first + BATCH)])
        await bus.aclose()
    await database.aclose()


def _structlog(folder: Path) -> None:
    with (folder / "floor.log").open("w", encoding="utf-8") as stream:
        logger = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        ).bind(flow_id="f", run_id="r")
        for number in range(EVENTS):
            logger.info(
                "step_finished",
                job_id=f"j{number % 10}",
                step_id=f"s{number % 3}",
                step_type="t",
                status="SUCCESS",
                duration_seconds=0.1,
                outputs={"n": number},
            )


def _msgspec(folder: Path) -> None:
    encode = msgspec.json.Encoder().encode
    with io.BufferedWriter(io.FileIO(folder / "floor.jsonl", "w")) as stream:
        for number in range(EVENTS):
            stream.write(encode(_event(number)) + b"\n")


def _run(flow: Path, *observed: str) -> Timed:
    def run() -> float:
        for stale in flow.parent.glob("observed.sqlite*"):
            stale.unlink()
        script = Path(__file__).with_name("engine_only.py")
        done = subprocess.run(
            [sys.executable, str(script), str(flow), *observed], check=True, capture_output=True, text=True
        )
        return float(done.stdout.split()[0])

    return run
