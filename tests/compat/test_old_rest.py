"""rest:httpx in a step of AetherFlow 0.0.x: its methods wait, and its errors are those of 0.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepContext, StepError, step
from aetherflow.clock import SystemClock
from aetherflow.compat.old_connectors import ConnectorError
from aetherflow.compat.old_steps import Step, _run
from aetherflow.testing import FakeRun, run_step
from tests.plugins.rest_parts import opened
from tests.servers.http_server import Answer, HttpServer


class OldRest(Step):
    """What a step of the old kind does with a REST connector."""

    def run(self) -> dict[str, Any]:
        api = self.ctx.connectors.rest("api")
        if api.base_url().endswith(":1"):
            try:
                api.get("/users")
            except ConnectorError as error:
                return {"error": str(error), "kind": error.kind, "code": error.code}
        created = api.post("/users", json={"name": "ann"}, params={"dry": "1"}, timeout=5)
        found = api.client().get("/users").json()
        api.close()
        return {
            "status": created.status_code,
            "found": found,
            "again": api.request("GET", "/users").json(),
            "deleted": api.delete("/users/1").status_code,
            "headers": api.headers(),
            "config": api.config["base_url"],
        }


@step("old_rest")
async def old_rest(context: StepContext, inputs: dict[str, Any]) -> Any:
    """Run it as the engine does."""
    return await _run(OldRest, context, inputs)


async def _outputs(folder: Path, url: str) -> Any:
    async with opened(url, headers={"X": "1"}) as api:
        run = FakeRun(folder, clock=SystemClock(), connectors={"api": api})
        return (await run_step(old_rest, {}, run)).outputs


@pytest.mark.asyncio
async def test_an_old_step_calls_a_server(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/users", Answer(json=["ann"]), method="GET")
        server.on("/users", Answer(201), method="POST")
        outputs = await _outputs(tmp_path, server.url)
    assert outputs == {
        "status": 201,
        "found": ["ann"],
        "again": ["ann"],
        "deleted": 404,
        "headers": {"X": "1"},
        "config": server.url,
    }


@pytest.mark.asyncio
async def test_an_old_step_catches_the_error_of_0_0(tmp_path: Path) -> None:
    outputs = await _outputs(tmp_path, "http://127.0.0.1:1")
    assert outputs == {
        "error": "resource 'api': 127.0.0.1:1 refuses connections: nothing listens there",
        "kind": "connection",
        "code": "AF375",
    }


def test_the_error_of_0_0_keeps_what_the_connector_says() -> None:
    error = ConnectorError.of(StepError("gone", hint="look", code="AF375", kind="timeout", detail={"a": 1}))
    assert (error.message, error.hint, error.code, error.kind, error.detail) == (
        *("gone", "look", "AF375", "timeout"),
        {"a": 1},
    )
