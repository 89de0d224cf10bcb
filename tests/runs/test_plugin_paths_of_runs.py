"""Runs in one process have their own plugins: other paths, other versions of a file, at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.runs.execute_run import RunRequest, run_flow
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from tests.plugins.plugin_sources import step_source
from tests.runs.run_parts import Place, flow

ONE_STEP = flow("{id: a, steps: [{id: s, type: made_up}]}")


def checked(place: Place, plugins: str) -> CheckedFlow:
    """Examine the flow with a plugin path."""
    found = load_checked_flow(
        place.write(ONE_STEP), place.env | {"AETHERFLOW_PLUGIN_PATHS": str(place.folder / plugins)}
    )
    assert found.errors == []
    return found


def plugin(place: Place, name: str, returned: str) -> Path:
    """Write a plugin."""
    file = place.folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(step_source("made_up", returned))
    return file


def outputs(place: Place, run_id: str) -> Any:
    """Return the outputs of the step of a run."""
    return place.query("SELECT outputs FROM step_state WHERE run_id = ?", run_id)[0][0]


@pytest.mark.asyncio
async def test_runs_at_the_same_time_have_their_own_plugin_paths(place: Place) -> None:
    for name in ("one", "two", "three"):
        plugin(place, f"{name}/a.py", f"{{'from': {name!r}}}")
    flows = {name: checked(place, name) for name in ("one", "two", "three")}

    async with anyio.create_task_group() as tasks:
        for name, found in flows.items():
            tasks.start_soon(run_flow, found, RunRequest(run_id=name), ())

    assert [outputs(place, name) for name in flows] == [f'{{"from":"{name}"}}' for name in flows]


@pytest.mark.asyncio
async def test_a_run_that_was_examined_before_a_file_changed_runs_what_was_examined(place: Place) -> None:
    plugin(place, "p/a.py", "{'version': 1}")
    before = checked(place, "p")
    plugin(place, "p/a.py", "{'version': 2}")
    after = checked(place, "p")

    await run_flow(before, RunRequest(run_id="before"), ())
    await run_flow(after, RunRequest(run_id="after"), ())

    assert outputs(place, "before") == '{"version":1}'
    assert outputs(place, "after") == '{"version":2}'


@pytest.mark.asyncio
async def test_a_plugin_that_went_away_is_missed_by_the_next_look(place: Place) -> None:
    file = plugin(place, "p/a.py", "{}")
    checked(place, "p")
    file.unlink()

    found = load_checked_flow(
        place.write(ONE_STEP), place.env | {"AETHERFLOW_PLUGIN_PATHS": str(file.parent)}
    )

    assert [d.code for d in found.errors] == ["AF540"]
