"""A run of one step as a whole command, `aetherflow run`: how long it takes, and how long the step alone.

The step connects, checks, hashes and stores; the start of the command has benchmarks of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from measure import Median, Row, Timed, timed

AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))

_FLOW = """\
version: 1
flow: {{id: f, state: {{path: {folder}/s.sqlite}}, workspace: {{root: {folder}/work}}}}
resources: {{box: {resource}}}
jobs: [{{id: a, steps: [{{id: s, type: {step}, inputs: {{resource: box, {inputs}}}}}]}}]
"""


class Took(NamedTuple):
    """How many seconds a command took, and its step alone, as the event of its end says."""

    command: float
    step: float


def one_step(folder: Path, resource: str, step: str, inputs: str) -> Callable[[], Took]:
    """Return a function that runs a flow of one step.

    Args:
        folder: for the flow file, the state and the files of the run.
        resource: the resource `box`, in YAML.
        step: the type of the step.
        inputs: its inputs beside the resource, in YAML.
    """
    folder.mkdir()
    path, events = folder / "flow.yaml", folder / "events.jsonl"
    path.write_text(_FLOW.format(folder=folder, resource=resource, step=step, inputs=inputs))

    def run() -> Took:
        events.unlink(missing_ok=True)
        words = [AETHERFLOW, "run", str(path), "--events", str(events)]
        quiet = subprocess.DEVNULL
        seconds = timed(lambda: subprocess.run(words, check=True, stdout=quiet, stderr=quiet))
        lines = map(json.loads, events.read_text().splitlines())
        (end,) = [line for line in lines if line["event"] == "step_finished"]
        return Took(seconds, end["duration_seconds"])

    return run


def step_row(
    what: str, against: str, ours: Callable[[], Took], floor: Timed, rounds: int, target: str
) -> Row:
    """Run both in turn, after one round that does not count; return the medians."""
    ours(), floor()
    pairs = [(ours(), floor()) for _ in range(rounds)]
    whole, step = (Median([took[part] for took, _ in pairs]) for part in range(2))
    theirs = Median([seconds for _, seconds in pairs])
    return Row(what, against, whole, theirs, target, step_seconds=step)
