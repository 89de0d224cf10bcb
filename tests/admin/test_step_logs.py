"""The end of a log is found without reading the rest, and logs are chosen by job and step."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aetherflow.admin.step_logs import BLOCK, LogFilter, StepLog, seek_last_lines


def last_lines(path: Path, count: int) -> bytes:
    with path.open("rb") as log:
        seek_last_lines(log, count)
        return log.read()


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("width", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_the_last_lines_are_those_of_the_whole_file(
    tmp_path: Path, end: bytes, width: int, count: int
) -> None:
    log = tmp_path / "s.1.log"
    lines = [b"first", b"x" * width, b"last"]
    log.write_bytes(b"\n".join(lines) + end)

    assert last_lines(log, count) == (b"\n".join(lines[3 - min(count, 3) :]) + end if count else b"")


def test_an_empty_log_has_no_last_line(tmp_path: Path) -> None:
    (tmp_path / "s.1.log").touch()

    assert last_lines(tmp_path / "s.1.log", 5) == b""


def test_of_a_log_of_a_terabyte_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "s.1.log"
    with log.open("wb") as file:
        file.truncate(1 << 40)  # sparse: it needs no room on the disk
        file.seek(1 << 40)
        file.write(b"\none\ntwo\n")

    assert last_lines(log, 2) == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (LogFilter(), True),
        (LogFilter(job="load"), True),
        (LogFilter(job="load[3]"), True),
        (LogFilter(job="load[4]"), False),
        (LogFilter(job="loa"), False),
        (LogFilter(step="copy"), True),
        (LogFilter(step="load.copy"), True),
        (LogFilter(job="load", step="load[3].copy"), True),
        (LogFilter(step="other.copy"), False),
        (LogFilter(only={("load[3]", "copy")}), True),
        (LogFilter(only=set()), False),
    ],
)
def test_logs_are_chosen_by_job_and_step(wanted: LogFilter, *, has: bool) -> None:
    assert wanted.has(StepLog("load[3]", "copy", 1, Path("copy.1.log"), 0)) is has


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (LogFilter(step="swap.copy"), True),
        (LogFilter(step="swap"), True),
        (LogFilter(step="load[3].swap"), True),
        (LogFilter(step="copy"), False),
        (LogFilter(step="swap.v2"), False),
        (LogFilter(only={("load[3]", "swap")}), True),
        (LogFilter(only={("load[4]", "swap")}), False),
    ],
)
def test_a_log_of_a_step_inside_another_is_chosen_by_both(wanted: LogFilter, *, has: bool) -> None:
    wanted = replace(wanted, steps={("load", "swap"), ("load", "swap.v2"), ("other", "swap.copy")})
    assert wanted.has(StepLog("load[3]", "swap.copy", 1, Path("swap.copy.1.log"), 0)) is has


def test_the_log_of_a_step_whose_id_begins_as_another_one_is_not_that_of_the_other() -> None:
    wanted = LogFilter(step="swap", steps={("load", "swap"), ("load", "swap.v2")})
    assert not wanted.has(StepLog("load", "swap.v2", 1, Path("swap.v2.1.log"), 0))
