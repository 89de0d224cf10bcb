"""Every distinct error of a command is shown; its exit code is that of the first."""

from __future__ import annotations

import pytest

from aetherflow.cli.report_error import READER_GONE, report_error
from aetherflow.errors import HeldByAnother, StateError, UsageError


def test_all_distinct_errors_of_a_group_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    inner = ExceptionGroup("two tasks", [StateError("the disk is full"), ValueError("a bug")])
    group = ExceptionGroup("all", [HeldByAnother("held"), inner, StateError("the disk is full")])

    assert report_error(group, show_trace=False) == HeldByAnother.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line for line in shown.err.splitlines() if line.startswith("error")] == [
        "error[AF610]: held",
        "error[AF600]: the disk is full",
        "error[AF000]: internal error: ValueError: a bug",
    ]


def test_a_reader_that_left_hides_no_other_error(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("all", [BrokenPipeError(), UsageError("wrong")])

    assert report_error(group, show_trace=False) == 2
    assert capsys.readouterr().err == "error[AF002]: wrong\n"
    assert report_error(ExceptionGroup("one", [BrokenPipeError()]), show_trace=False) == READER_GONE
    assert capsys.readouterr().err == ""
