"""Serve the metrics of a server at `/metrics`, and whether it lives at `/health`; a service of `serve`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio

from aetherflow.observe import metric_definitions as m
from aetherflow.observe.metric_fold import MetricsFold
from aetherflow.observe.metric_text import Exposition
from aetherflow.observe.metric_values import Family
from aetherflow.plugin_errors import named
from aetherflow.server.metric_gauges import ServerGauges
from aetherflow.server.metrics_address import Listening
from aetherflow.server.metrics_http import Answer, Request, serve_http
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.server.open_server import Server

FRESH_SECONDS = 1.0
"""For how long gauges are served again before they are read again: many clients cost as much as one."""

LAG_SAMPLE_SECONDS = 1.0

_threads = WorkerThreads("text of metrics", 1)


class MetricsService:
    """Serves the metrics that a fold has, with the gauges of the server."""

    def __init__(self, listening: Listening, fold: MetricsFold) -> None:
        """Make the service.

        Raises:
            MissingExtra: the library prometheus-client is not installed.
        """
        self._listening = listening
        self._fold = fold
        self._exposition = Exposition(of_process=True)
        self._turn = anyio.Lock()
        self._families: Sequence[Family] = ()
        self._read_at = -FRESH_SECONDS
        self._problems: set[str] = set()

    async def run(self, server: Server) -> None:
        """Serve until cancelled."""
        address = self._listening.address
        server.report(f"metrics are served at http://{address}/metrics", level="info", code="")
        if not self._listening.is_local:
            server.report(
                f"the metrics at {address} need no password: who reaches this address reads the names of "
                "flows and items, and how they ended",
                level="warning",
                code="AF893",
            )
        gauges = ServerGauges(server, self._fold, partial(self._report_bug, server))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sample_lag)
            tasks.start_soon(gauges.keep)

            async def respond(request: Request) -> Answer:
                return await self._respond(server, gauges, request)

            await serve_http(self._listening.listeners, respond)

    async def _sample_lag(self) -> None:
        while True:
            expected = anyio.current_time() + LAG_SAMPLE_SECONDS
            await anyio.sleep(LAG_SAMPLE_SECONDS)
            self._fold.values.observe(m.LOOP_LAG, seconds=max(anyio.current_time() - expected, 0.0))

    async def _respond(self, server: Server, gauges: ServerGauges, request: Request) -> Answer:
        match request.path:
            case "/metrics":
                return await self._metrics(server, gauges, request.headers.get("accept", ""))
            case "/health":
                return Answer(_health(server), "application/json")
            case "/":
                return Answer(b"AetherFlow: /metrics /health\n")
            case _:
                return Answer(b"/metrics or /health\n", status=HTTPStatus.NOT_FOUND)

    async def _metrics(self, server: Server, gauges: ServerGauges, accept: str) -> Answer:
        try:
            async with self._turn:
                if anyio.current_time() - self._read_at >= FRESH_SECONDS:
                    await gauges.refresh()
                    self._families = tuple(self._fold.values.families(all_metrics=True))
                    self._read_at = anyio.current_time()
                body, content_type = await _threads.run(self._exposition.text, self._families, accept)
        except Exception as error:  # noqa: BLE001 - a bug here must not end the server; it is reported
            problem = self._report_bug(server, error)
            return Answer(f"{problem}\n".encode(), status=HTTPStatus.INTERNAL_SERVER_ERROR)
        return Answer(body, content_type)

    def _report_bug(self, server: Server, error: Exception) -> str:
        """Report a bug, once: Prometheus asks four times a minute."""
        problem = f"not all metrics could be served: {named(error)}"
        if problem not in self._problems:
            self._problems.add(problem)
            server.report(problem, level="warning")
        return problem


def _health(server: Server) -> bytes:
    """Return what the server does; that it answers means that its event loop runs."""
    why = server.scheduler.standby.why()
    state = "stopping" if server.run_pool.is_draining else "standby" if why else "active"
    return json.dumps({"status": state, **({"reason": why} if why else {})}).encode() + b"\n"
