"""What tests of the REST plugin share: an open connector, and one attempt of `rest_request`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aetherflow_rest.httpx_connector import RestConnector
from aetherflow_rest.rest_request import rest_request

from aetherflow import Resource
from aetherflow.clock import SystemClock
from aetherflow.testing import FakeRun, run_step
from tests.servers.http_server import HttpServer

TOKEN = "t0ken-of-the-resource"  # noqa: S105 - it opens nothing


def resource(config: dict[str, Any], options: dict[str, Any] | None = None) -> Resource:
    return Resource("api", "rest", "httpx", config, options or {})


@asynccontextmanager
async def opened(
    base_url: str | None, options: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[RestConnector]:
    """Open a connector, and close it at the end."""
    connector = await RestConnector.open(resource({"base_url": base_url, **config}, options))
    try:
        yield connector
    finally:
        await connector.aclose()


def at_once(**retry: Any) -> dict[str, Any]:
    """Return options with a repetition that does not wait."""
    return {"timeout": 30, "retry": {"max_attempts": 2, "backoff_seconds": 0, **retry}}


async def requested(run: FakeRun, attempt: int = 1, **inputs: Any) -> dict[str, Any]:
    """Run `rest_request` once and return its outputs."""
    context = run.context(step_type="rest_request", attempt=attempt)
    result = await run_step(rest_request, {"resource": "api", **inputs}, context)
    return result.outputs


@asynccontextmanager
async def run_with(
    server: HttpServer, folder: Path, options: dict[str, Any] | None = None, port: int | None = None
) -> AsyncIterator[FakeRun]:
    """A run with the resource `api`: the server, or a port that leads to it."""
    url = f"http://localhost:{port or server.port}/v1"
    async with opened(url, options or {"timeout": 30}, bearer_token=TOKEN) as api:
        yield FakeRun(folder, clock=SystemClock(), connectors={"api": api}, secrets=[TOKEN])
