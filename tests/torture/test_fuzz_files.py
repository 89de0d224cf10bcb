"""Spoiled files of every kind: exit 0 or 2 with a place, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import CommandLine
from tests.sizes import LARGE
from tests.torture.fuzz_seeds import KINDS, USES_PROFILE
from tests.torture.processes import seed

pytestmark = pytest.mark.torture

CASES = 20_000 if LARGE else 250
BATCH = 2_500
ROOT = Path(__file__).parents[2]


def test_a_spoiled_file_is_read_or_refused_with_its_place(
    cli: CommandLine, record_property: Callable[[str, object], None]
) -> None:
    chosen = str(seed())
    cli.write("flow.yaml", USES_PROFILE)
    problems: list[dict[str, Any]] = []
    codes: Counter[str] = Counter()
    cases, seconds, memory = 0, 0.0, 0
    for first in range(0, CASES, BATCH):
        last = min(first + BATCH, CASES)
        lines = worker(cli, chosen, first, last)
        problems += lines[:-1]
        codes.update(lines[-1]["codes"])
        cases += lines[-1]["cases"]
        seconds, memory = max(seconds, lines[-1]["seconds"]), max(memory, lines[-1]["memory"])
    record_property(
        "torture",
        f"fuzz: seed {chosen}, {cases} files of {len(KINDS)} kinds, {len(codes)} codes seen, "
        f"{codes['none']} files without a finding; at most {seconds:.2f} s and {memory / 2**20:.0f} MiB each",
    )
    assert problems == [], f"seed {chosen}"
    assert cases == CASES
    assert len(codes) > 20


def worker(cli: CommandLine, chosen: str, first: int, last: int) -> list[dict[str, Any]]:
    """Run some of the cases in a process of their own; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.fuzz_worker", chosen, str(first), str(last)],
        cwd=cli.folder,
        env=cli.env | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (chosen, first, done.stdout[-2000:], done.stderr[-4000:])
    return [json.loads(line) for line in done.stdout.splitlines()]
