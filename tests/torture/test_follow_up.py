"""A kill at every commit around a step and its follow-up: sources move only once the success is stored."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, query, said, start
from tests.torture.test_failpoints import die_at

POINTS = ("after-acknowledge", "before-acknowledge", "after-commit", "before-commit")
PASSAGES = 40
FILES = ("a.txt", "b.txt")

PLUGIN = """\
from pathlib import Path
from shutil import copyfile

from aetherflow import StepContext, step


async def archive(context: StepContext, inputs: dict) -> None:
    top = Path(inputs["top"])
    for source in [*sorted((top / "in").iterdir()), *sorted((top / "done").iterdir())]:
        target = top / "done" / source.name
        async with context.effect(f"archive {source.name}", verify=target.exists) as effect:
            if not effect.done:
                source.rename(target)


@step("take", follow_up=archive)
async def take(context: StepContext, inputs: dict) -> dict:
    top = Path(inputs["top"])
    names = sorted(source.name for source in (top / "in").iterdir())
    for name in names:
        async with context.effect(f"take {name}") as effect:
            if not effect.done:
                copyfile(top / "in" / name, top / "out" / name)
    with (top / "taken").open("a") as taken:
        taken.write("once\\n")
    return {"names": names}
"""

pytestmark = pytest.mark.torture


def prepared(root: Path) -> Path:
    """Make the folders and the flow; return the flow."""
    for name in ("in", "out", "done"):
        (root / name).mkdir(parents=True)
    for name in FILES:
        (root / "in" / name).write_text(name)
    (root / "steps").mkdir()
    (root / "steps" / "take.py").write_text(PLUGIN)
    (root / "aetherflow.yaml").write_text("version: 1\n")
    flow = root / "flow.yaml"
    flow.write_text(
        f"version: 1\nflow:\n  id: f\n  workspace: {{root: {root}/work}}\n"
        f"  state: {{path: {root}/state.sqlite}}\n"
        f"jobs:\n  - id: a\n    steps:\n      - {{id: t, type: take, inputs: {{top: {root}, after: move}}}}\n"
    )
    return flow


def successes(root: Path, run_id: str) -> list[str]:
    """Return the steps with a stored success, in order."""
    rows = query(
        root / "state.sqlite",
        "SELECT step_id FROM events WHERE run_id = ? AND event = 'step_finished' "
        "AND json_extract(payload, '$.status') = 'SUCCESS' ORDER BY seq",
        run_id,
    )
    return [str(name) for (name,) in rows]


def names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir()))


@pytest.mark.parametrize("point", POINTS if LARGE else POINTS[:1])
def test_what_follows_happens_once_and_only_behind_a_stored_success(
    point: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    kills = between = 0
    for passage in range(1, PASSAGES):
        root, run_id = tmp_path / str(passage), f"{point}-{passage}-{UNIQUE}"
        flow = prepared(root)
        code = die_at(point, passage, flow, run_id)
        stored = successes(root, run_id)
        assert not names(root / "done") or stored, "moved before the success was stored"
        if code == 0:
            break
        assert code == -signal.SIGKILL, said(flow, run_id)
        kills += 1
        between += stored == ["t"]
        before = (root / "taken").read_text() if (root / "taken").exists() else ""
        assert start(flow, run_id).wait(60) == 0, said(flow, run_id)
        assert successes(root, run_id) == ["t", "t.after"]
        assert (names(root / "in"), names(root / "out"), names(root / "done")) == ((), FILES, FILES)
        assert not stored or (root / "taken").read_text() == before, "a stored success was repeated"
    else:
        raise AssertionError(f"no run passed {point} clean")
    assert between, "no kill between the two successes"
    record_property("torture", f"follow-up {point}: {kills} kills, {between} between the two successes")
