"""Runs of the benchmarks as lines of JSON in a file, and what changed between two of them.

Compared are the ratios, not the seconds: both sides of a ratio were measured on the same machine in the same
minutes.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from measure import NotMeasured, Row
from noise import MACHINE, Spread

FORMAT = 1
"""Raised when a line of an earlier format cannot be compared any more."""
FEWEST_ROUNDS = 3
"""With fewer, the lowest and the highest ratio say nothing."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was measured: medians, and the ratio with the lowest and the highest of all rounds.

    Attributes:
        lowest: None where the rounds of both are not known.
    """

    what: str
    against: str
    ours: float
    other: float
    unit: str
    ratio: float
    lowest: float | None
    highest: float | None
    rounds: int
    target: str

    @property
    def name(self) -> tuple[str, str]:
        """What makes it the same row in another run."""
        return self.what, self.against


class Gap(msgspec.Struct, frozen=True):
    """A row that was not measured, and why."""

    what: str
    against: str
    why: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the benchmarks: a line of the file.

    Attributes:
        commit: the commit of the work tree; empty if it is none of git.
        is_changed: whether the work tree had changes that are in no commit.
        noise: of the machine, `CPU` and `disk`.
    """

    format: int = FORMAT
    date: str
    commit: str
    is_changed: bool
    python: str
    machine: str
    cpus: int | None
    noise: dict[str, Spread]
    rows: tuple[Figure, ...]
    not_measured: tuple[Gap, ...] = ()


class _Head(msgspec.Struct, frozen=True):
    """What is known of a line before its format is."""

    format: int
    commit: str = ""


def this_run(rows: Sequence[Row | NotMeasured]) -> Run:
    """Return what is kept of a run that has just ended."""
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return Run(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        is_changed=bool(changed),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=os.cpu_count(),
        noise={"CPU": MACHINE.cpu, "disk": MACHINE.disk},
        rows=tuple(_figure(row) for row in rows if isinstance(row, Row)),
        not_measured=tuple(Gap(*row) for row in rows if isinstance(row, NotMeasured)),
    )


def append(path: Path, *runs: Run) -> None:
    """Add runs to a file, each as a line; make the file if there is none.

    Without a run it only finds out whether that is possible. A last line that was cut off stays apart.
    """
    with path.open("ab+") as file:
        for run in runs:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(msgspec.json.encode(run) + b"\n")


def read_run(path: Path, commit: str = "") -> Run:
    """Return the last run of a file, or the last one of a commit, by the beginning of its name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no such run, or that line is none that this version writes.
    """
    lines = path.read_bytes().split(b"\n")
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if not line.strip():
            continue
        try:
            head = msgspec.json.decode(line, type=_Head)
            if head.commit.startswith(commit):
                return _decoded(line, head.format)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: no run of the benchmarks: {error}") from error
    raise ValueError(f"{path}: no run of commit {commit}" if commit else f"{path}: no runs")


def _decoded(line: bytes, written: int) -> Run:
    if written != FORMAT:
        raise ValueError(f"its format is {written}, this version reads {FORMAT}")
    return msgspec.json.decode(line, type=Run)


def described(run: Run, rounds: int) -> str:
    """Return in one sentence when and where it was measured, and how much the machine varied."""
    changed = " with changes" if run.is_changed else ""
    commit = f"commit `{run.commit[:12]}`{changed}, " if run.commit else ""
    noise = ", ".join(f"{part} {spread}" for part, spread in run.noise.items())
    measured = f"medians of {rounds} rounds" if rounds > 1 else "one round"
    return (
        f"Measured on {run.date[:10]}, {commit}Python {run.python}, {run.cpus} CPUs, {measured}. "
        f"The same work varied meanwhile: {noise}."
    )


def changes(before: Run, now: Run) -> str:
    """Return how the ratio of each row changed, and whether that is within the noise of its rounds."""
    made = f"{before.commit[:12] or 'no commit'}{', with changes' if before.is_changed else ''}"
    lines = [f"ratios since {before.date} ({made}); less is better"]
    lines += [
        f"  not alike: {what} {old} then, {new} now"
        for what, old, new in (
            ("Python", before.python, now.python),
            ("machine", before.machine, now.machine),
            ("CPUs", before.cpus, now.cpus),
        )
        if old != new
    ]
    return "\n".join([*lines, *_compared(before, now)]) + "\n"


def _compared(before: Run, now: Run) -> Iterator[str]:
    earlier = {row.name: row for row in before.rows}
    for row in now.rows:
        start = f"{row.what:<44} {row.against:<42}"
        old = earlier.pop(row.name, None)
        if old is None:
            yield f"{start} {'':>9}    {row.ratio:>7.2f}x         new"
            continue
        change = row.ratio / old.ratio - 1
        yield f"{start} {old.ratio:>8.2f}x -> {row.ratio:>7.2f}x {change:>+7.1%} {_verdict(old, row)}"
    for old in earlier.values():
        yield f"{old.what:<44} {old.against:<42} {old.ratio:>8.2f}x -> not measured now"


def _verdict(old: Figure, new: Figure) -> str:
    """Return whether two ratios differ by more than those of their rounds do."""
    if old.lowest is None or old.highest is None or new.lowest is None or new.highest is None:
        return "(rounds not known)"
    if min(old.rounds, new.rounds) < FEWEST_ROUNDS:
        return f"(fewer than {FEWEST_ROUNDS} rounds: noise not known)"
    if old.lowest <= new.highest and new.lowest <= old.highest:
        return "within the noise"
    return "better" if new.ratio < old.ratio else "worse"


def _figure(row: Row) -> Figure:
    ratios = row.ratios
    return Figure(
        what=row.what,
        against=row.against,
        ours=float(row.seconds),
        other=float(row.floor_seconds),
        unit=row.unit,
        ratio=row.ratio,
        lowest=min(ratios) if ratios else None,
        highest=max(ratios) if ratios else None,
        rounds=len(ratios),
        target=row.target,
    )


def _git(*words: str) -> str:
    """Return what git says of this work tree, or nothing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
