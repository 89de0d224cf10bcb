"""The picture at the end of a terminal is repainted in place, also after the terminal has another size."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.observe import terminal
from aetherflow.observe.terminal import Painter, Size, size_of
from aetherflow.observe.tree_line import Line, cut
from tests.observe.screen import Screen

Pictures = list[tuple[int, list[str], list[str]]]


def painted(pictures: Pictures) -> Screen:
    """Paint pictures one after another, each on a terminal of its width, with lines above it."""
    screen = Screen()
    written = io.StringIO()
    painter = Painter(written, colours=False)
    with pytest.MonkeyPatch.context() as patch:
        for width, lines, above in pictures:
            screen.width = width
            patch.setattr(terminal, "size_of", lambda _, width=width: Size(100, width))
            painter.paint([Line(cut(line, width - 1)) for line in lines], [Line(line) for line in above])
            screen.feed(written.getvalue())
            written.seek(0)
            written.truncate()
    return screen


def test_a_picture_replaces_the_one_before_and_lines_above_it_stay() -> None:
    screen = painted([(20, ["one", "two", "three"], []), (20, ["uno"], ["news"]), (20, ["eins", "zwei"], [])])
    assert screen.text == ["news", "eins", "zwei", ""]


_lines = st.lists(st.text("ab日 ", max_size=40), max_size=5)


@given(st.lists(st.tuples(st.integers(2, 60), _lines, _lines), min_size=1, max_size=6))
def test_no_size_that_a_terminal_gets_leaves_rubbish_behind(pictures: Pictures) -> None:
    """Lines that were painted break again in the terminal; the next picture still finds its beginning."""
    screen = painted(pictures)
    above = [line.rstrip() for _, _, lines in pictures for line in lines]
    width, last, _ = pictures[-1]
    assert screen.text == [*above, *(cut(line, width - 1).rstrip() for line in last), ""]


def test_a_picture_is_written_at_once_and_erases_nothing_that_stays() -> None:
    writes: list[str] = []

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    painter = Painter(Terminal(), colours=False)
    painter.paint([Line("one"), Line("two")])
    painter.paint([Line("one"), Line("other")])
    assert writes[1] == "\r\x1b[2Aone\x1b[K\nother\x1b[K\n\x1b[J"
    assert len(writes) == 2


def test_colours_are_only_where_they_may_be() -> None:
    line = Line("boom", "red")
    assert Painter(io.StringIO(), colours=True).styled(line) == "\x1b[31mboom\x1b[0m"
    assert Painter(io.StringIO(), colours=False).styled(line) == "boom"
    assert Painter(io.StringIO(), colours=True).styled(Line("calm")) == "calm"


def test_the_size_is_that_of_the_terminal_else_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("LINES", "x")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        assert size_of(stream) == Size(24, 33)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
        assert size_of(stream) == Size(10, 40)
    os.close(ours)
    assert size_of(io.StringIO()) == Size(24, 33)
