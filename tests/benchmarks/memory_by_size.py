"""How the memory of a process grows with its work: not at all, or in a straight line.

Each row is the most memory that a command had, in a process of its own, against the same command with less
work. What each further job, item, megabyte or run costs stands in place of a target: about the same from size
to size is a straight line. Memory does not depend on how busy the machine is: each is measured once.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from against_rivals import AETHERFLOW, cost
from flows import CHECK, flow
from measure import Row

FLAT = 1.05
"""A process that has at most so many times the memory for several times the work is flat."""

SIZES, MANY = (1_000, 10_000), 100_000
PRINTED, MUCH_PRINTED = (10, 100), (1_000, 10_000)
"""Megabytes."""
RUNS, MANY_RUNS = (1_000, 4_000), (10_000, 100_000)
SLOTS = 8
FIRST_TICK = datetime(2026, 1, 1, tzinfo=UTC)
MODES = {
    "shown and logged": "",
    "captured (1 MB)": ", log: {stdout: capture, max_capture_kb: 1024}",
    "to a file": ", log: {stdout: file, file_path: out.txt}",
}


def memory_by_size(folder: Path, *, large: bool) -> Iterator[Row]:
    """Runs of many jobs and items, what looks at them, programs that print, a server."""
    place = folder / "memory-by-size"
    place.mkdir()
    sizes = (*SIZES, MANY) if large else SIZES
    jobs = {size: flow(place, f"jobs-{size}", size, 1, CHECK) for size in sizes}
    yield from _run_and_its_views(jobs, "job", "j0")
    items = {size: flow(place, f"items-{size}", 1, 1, CHECK, items=size) for size in sizes}
    yield from _run_and_its_views(items, "item", "j0")
    yield from _programs(place, large=large)
    yield from _server(place, (*RUNS, *MANY_RUNS) if large else RUNS)


def _run_and_its_views(flows: Mapping[int, Path], thing: str, again: str) -> Iterator[Row]:
    """A run, the commands that show it, and its second execution, which reads four events of each thing."""
    commands: dict[str, list[str]] = {
        "run": ["run", "{flow}", "--run-id", "r"],
        "runs show": ["runs", "show", "r", "--state", "{state}"],
        "runs show --json": ["runs", "show", "r", "--json", "--state", "{state}"],
        "explain": ["explain", "r", "--state", "{state}"],
        "events": ["events", "r", "--state", "{state}"],
        "runs diff": ["runs", "diff", "r", "r", "--state", "{state}"],
        "runs export --html": ["runs", "export", "r", "--html", "{state}.html", "--state", "{state}"],
        "run, resumed": ["run", "{flow}", "--run-id", "r", "--rerun", again],
    }
    for what, words in commands.items():
        peaks = {}
        for size, path in flows.items():
            places = {"flow": path, "state": path.with_suffix(".sqlite")}
            peaks[size] = _peak([word.format_map(places) for word in words], path.parent)
        yield from _rows(what, thing, peaks)


def _programs(folder: Path, *, large: bool) -> Iterator[Row]:
    """One program that prints; its log file keeps the beginning, and a file of its own everything."""
    for number, (what, keys) in enumerate(MODES.items()):
        peaks = {}
        for size in (*PRINTED, *MUCH_PRINTED) if large else PRINTED:
            if "file_path" in keys and size > MUCH_PRINTED[0]:
                continue  # it would fill a disk
            print_so_much = f"yes 0123456789abcdef | head -c {size}000000"
            step = f"type: external.process, inputs: {{command: '{print_so_much}', shell: true{keys}}}"
            path = flow(folder, f"prints-{number}-{size}", 1, 1, step)
            peaks[size] = _peak(["run", str(path)], folder)
        yield from _rows(f"program's output {what}", "megabyte", peaks)


class _Look(NamedTuple):
    """What a server had when it had executed so many runs."""

    megabytes: float
    threads: int
    files: int


def _server(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """A server that catches up on past ticks of an item, each a run of one step."""
    place = folder / "server"
    place.mkdir()
    flow(place, "tiny", 1, 1, CHECK)
    (place / "schedule.yaml").write_text(
        "version: 1\nid: many\nitems:\n"
        f"  - {{id: tick, cron: '* * * * *', timezone: UTC, flow_yaml: tiny.yaml, max_instances: {SLOTS}}}\n"
    )
    state = place / "tiny.sqlite"
    with (place / "log").open("wb") as log:
        words = [AETHERFLOW, "serve", "schedule.yaml", "--state", str(state)]
        server = subprocess.Popen(words, cwd=place, stdout=log, stderr=log)
    try:
        looks = dict(_looks(server, state, place, sizes))
    finally:
        for _ in range(2):  # the second one does not wait for runs
            server.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        server.wait()
    rows = _rows("serve", "run", {size: look.megabytes for size, look in looks.items()})
    for row, size in zip(rows, sizes[1:], strict=True):
        look = looks[size]
        yield row._replace(target=f"{row.target}; {look.threads} threads, {look.files} open files")


def _looks(
    server: subprocess.Popen[bytes], state: Path, place: Path, sizes: Sequence[int]
) -> Iterator[tuple[int, _Look]]:
    while not (place / "log").read_bytes().count(b"next "):
        _raise_if_dead(server)
        time.sleep(0.1)
    end = FIRST_TICK + timedelta(minutes=sizes[-1])
    period = ["--from", f"{FIRST_TICK:%Y-%m-%dT%H:%M}", "--to", f"{end:%Y-%m-%dT%H:%M}"]
    request = [AETHERFLOW, "scheduler", "backfill", "tick", *period, "--parallel", str(SLOTS)]
    subprocess.run([*request, "--state", str(state)], cwd=place, check=True, capture_output=True)
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as raw:
        for size in sizes:
            while raw.execute("SELECT count(*) FROM run_state").fetchone()[0] < size:
                _raise_if_dead(server)
                time.sleep(0.2)
            process = Path(f"/proc/{server.pid}")
            known = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            files = len(os.listdir(process / "fd"))  # noqa: PTH208 - their number is wanted
            yield size, _Look(int(known["VmHWM"].split()[0]) / 1000, int(known["Threads"]), files)


def _raise_if_dead(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        raise subprocess.CalledProcessError(server.returncode, "aetherflow serve")


def _peak(words: Sequence[str], folder: Path) -> float:
    """Run a command of ours in a process of its own; return how much memory (MB) it had at most."""
    return cost([AETHERFLOW, *words], folder).megabytes


def _rows(what: str, thing: str, peaks: Mapping[int, float]) -> Iterator[Row]:
    """Compare each size with the one before it; in place of a target stands how it grows."""
    for few, many in pairwise(sorted(peaks)):
        each = (peaks[many] - peaks[few]) * 1000 / (many - few)
        grows = "flat" if peaks[many] <= FLAT * peaks[few] else f"{each:.2f} kB each"
        yield Row(f"{what}, {many:,} {thing}s", f"{few:,} {thing}s", peaks[many], peaks[few], grows, "MB")
