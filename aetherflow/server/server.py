"""`aetherflow serve`: a scheduler and a run pool in one process, for years.

A server is a task group of services around one state database. `serve` takes a list of services: an HTTP API,
a console or a source of events is one more entry.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from msgspec.structs import replace

from aetherflow import exit_codes
from aetherflow.clock import Clock, SystemClock
from aetherflow.observe import schedule_text  # noqa: F401 - it gives the events of a scheduler their words
from aetherflow.redaction import Redactor
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.received_signals import ALWAYS, ReceivedSignals
from aetherflow.runs.run_observers import named_observers
from aetherflow.schedule.item import Schedule
from aetherflow.server import last_resort
from aetherflow.server.drain import drain, say, what_happens
from aetherflow.server.item_problems import refuse_wrong_items, watch_item_problems
from aetherflow.server.on_late_runs import watch_late
from aetherflow.server.open_server import Server, open_server, run_last_work
from aetherflow.server.recover_runs import recover_runs
from aetherflow.server.schedule_files import load_schedules
from aetherflow.server.server_settings import (
    server_environment,
    server_environments,
    settings_of,
    state_path_of,
)
from aetherflow.stop_signals import end_with
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("observers of a server", 1)

Service = Callable[[Server], Coroutine[Any, Any, None]]
"""Runs as long as the server does, and is cancelled when it stops."""

SERVICES: tuple[Service, ...] = (
    lambda server: server.lease.keep(),
    lambda server: server.scheduler.run(),
    lambda server: server.reloader.watch(),
    lambda server: server.notifier.watch(server.clock),
    recover_runs,
    watch_late,
    watch_item_problems,
)


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `aetherflow serve`; without files, the server runs what its other services submit.

    Attributes:
        strict: refuse a file with items that cannot run, at the start and when it changes.
    """

    files: tuple[Path, ...]
    state: Path | None = None
    strict: bool = False


async def serve(
    request: ServeRequest,
    observers: Sequence[ObserverSpec],
    *,
    services: Sequence[Service] = SERVICES,
    clock: Clock | None = None,
    process_env: Mapping[str, str] | None = None,
    on_ready: Callable[[Server], None] = lambda _server: None,
) -> int:
    """Serve until a signal ends it, and return the exit code: 128 and the number of the signal.

    SIGHUP reads the files again and reopens the files of the observers; the other signals that ask to stop
    end it. While it opens its database they end the process at once.

    If a run does not end, not even by force, the process exits with code 70 (see `last_resort`).

    Raises:
        InvalidInput: a scheduler file is wrong.
        UsageError: the files contradict each other.
        ConfigError: a setting, or an observer that settings name, cannot be used.
        StateError: the state database cannot be used.
    """
    env = os.environ if process_env is None else process_env
    with last_resort.forced_end() as forced_end:

        def count(number: int) -> None:
            if number != signal.SIGHUP:
                forced_end.count()

        with ReceivedSignals(count, always=ALWAYS | {signal.SIGHUP}, hangup_seconds=0) as signals:
            signals.open({signal.SIGHUP})  # it comes from a log rotation, which knows nothing of a start
            schedules = await anyio.to_thread.run_sync(
                load_schedules, request.files, limiter=anyio.CapacityLimiter(1)
            )
            if request.strict:
                for one in schedules:
                    await anyio.to_thread.run_sync(refuse_wrong_items, one, limiter=anyio.CapacityLimiter(1))
            await _refuse_wrong_observers(request.files, env)
            state = state_path_of(schedules, request.state, env)
            access = server_environment(request.files, env).settings.file_access
            settings = replace(settings_of(schedules), file_access=access, strict=request.strict)
            clock = clock or SystemClock()
            async with open_server(schedules, settings, state, observers, clock, env) as server:
                start = partial(_start, server, schedules)
                number = await _serve_until_signal(server, start, services, signals, on_ready)
            end_with(exit_codes.of_signal(number))
    return exit_codes.of_signal(number)


async def _refuse_wrong_observers(files: Sequence[Path], env: Mapping[str, str]) -> None:
    """Refuse observers with which each run would fail before it begins.

    Raises:
        ConfigError: one cannot be used, or there is none of that name.
    """
    redactor = Redactor()
    for environment in server_environments(files, env, redactor):
        await named_observers(environment.settings, redactor, _threads)


async def _serve_until_signal(
    server: Server,
    start: Callable[[], Coroutine[Any, Any, None]],
    services: Sequence[Service],
    signals: ReceivedSignals,
    on_ready: Callable[[Server], None],
) -> int:
    """Run the services until the first signal has ended the runs; return the signal's number."""
    received: list[int] = []
    first = anyio.Event()
    signals.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run_pool.run)
        async with anyio.create_task_group() as serving:
            serving.start_soon(_follow_signals, server, signals, received, first)
            if await _unless(first, start):
                for service in services:
                    serving.start_soon(service, server)
                server.notifier.send("READY=1", f"STATUS={len(server.scheduler.schedules)} scheduler files")
                on_ready(server)
            await first.wait()
            await _stop(server, received[0])
            serving.cancel_scope.cancel()
    return received[0]


async def _unless(first: anyio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Do the work unless a signal comes before it is done; return whether it is done."""
    is_done = False
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            await first.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop)
        await work()
        is_done = True
        tasks.cancel_scope.cancel()
    return is_done


async def _start(server: Server, schedules: Sequence[Schedule]) -> None:
    """Bring the files into force."""
    for schedule in schedules:
        await server.reloader.put(schedule, is_first=True)


async def _follow_signals(
    server: Server, signals: ReceivedSignals, received: list[int], first: anyio.Event
) -> None:
    """Stop at the first signal that asks to stop, by force at the second; SIGHUP reads the files again."""
    async for number in signals:
        if number == signal.SIGHUP:
            if not received:
                server.reloader.reload_soon()
            continue
        received.append(number)
        if len(received) == 1:
            first.set()
            continue
        running = server.run_pool.running()
        if len(received) == 2 and running:  # noqa: PLR2004 - the second signal
            ends = f"the server ends within {last_resort.FORCED_END_SECONDS:g} s"
            whose = "its" if len(running) == 1 else "their"
            say(server, f"{what_happens(running)}; {whose} programs are killed; {ends}")
        server.states.hurry(0)
        server.run_pool.force()


async def _stop(server: Server, number: int) -> None:
    """Fire nothing more, let the runs end, leave the firings that have not started to other servers."""
    server.scheduler.stop()
    await _release(server)
    await drain(server, number)
    await _release(server)


async def _release(server: Server) -> None:
    """Leave the firings that have not started to other servers, before and after the last runs end."""
    await run_last_work(server.scheduler.release, partial(server.report, code="AF600"))
