"""Marks in the database: of two runs at the same time neither loses rows, and what people set stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from aetherflow.events.marks import Mark
from aetherflow.store.marks import list_marks, move_marks, read_mark, set_mark
from aetherflow.store.projection import MarkMove
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.real_parts import T0


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    """A new database, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.executescript("".join(MIGRATIONS))
        yield raw


def move(
    raw: sqlite3.Connection, before: object, after: object, *, set_count: int = 0, run: str = "r"
) -> object:
    """Let a step move the mark; return what it is then."""
    marks = [None if value is None else Mark.of(value) for value in (before, after)]
    move_marks(raw, [MarkMove("f", "m", marks[0], marks[1], set_count, ("now", run, "j", "s", ""))])
    stored = read_mark(raw, "f", "m").mark
    return None if stored is None else stored.value


def test_of_two_runs_at_the_same_time_the_higher_mark_stays(raw: sqlite3.Connection) -> None:
    assert move(raw, None, 100) == 100
    assert move(raw, 100, 210, run="early") == 210
    assert move(raw, 100, 200, run="late") == 210, "it does not move back"
    assert move(raw, 100, 220, run="later") == 220
    assert list_marks(raw)[0].run_id == "later"


def test_a_run_alone_may_move_a_text_in_the_order_of_its_database(raw: sqlite3.Connection) -> None:
    assert move(raw, None, "b") == "b"
    assert move(raw, "b", "C") == "C", "above b for most collations, below it by code points"


def test_a_mark_that_another_run_gave_another_type_stays(raw: sqlite3.Connection) -> None:
    assert move(raw, None, 100) == 100
    assert move(raw, None, "2026-01-01") == 100


def test_a_step_that_read_but_did_not_move_changes_nothing(raw: sqlite3.Connection) -> None:
    assert move(raw, None, None) is None
    assert move(raw, None, 5) == 5
    assert move(raw, 5, None) == 5


def test_what_a_person_sets_or_deletes_wins_over_what_was_read_before(raw: sqlite3.Connection) -> None:
    move(raw, None, 100)
    assert set_mark(raw, "f", "m", Mark.of(50), "ann", T0).mark == Mark.of(100)
    assert move(raw, 100, 200) == 50
    assert move(raw, 50, 200, set_count=1) == 200
    set_mark(raw, "f", "m", None, "ann", T0)
    assert move(raw, 200, 300, set_count=1) is None
    assert list_marks(raw) == []
    assert move(raw, None, 10, set_count=2) == 10, "from the beginning"


def test_marks_are_listed_by_flow_and_name(raw: sqlite3.Connection) -> None:
    for flow_id, name in (("b", "x"), ("a", "y"), ("a", "x")):
        set_mark(raw, flow_id, name, Mark.of(1), "ann", T0)
    assert [(row.flow_id, row.name) for row in list_marks(raw)] == [("a", "x"), ("a", "y"), ("b", "x")]
    assert [row.name for row in list_marks(raw, flow_id="a", name="y")] == ["y"]
    assert (list_marks(raw)[0].set_by, list_marks(raw)[0].run_id) == ("ann", "")
