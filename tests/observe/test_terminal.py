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

from aetherflow.observe.terminal import Painter, Size, size_of
from aetherflow.observe.tree_line import Line, cut
from tests.observe.screen import Screen

Pictures = list[tuple[Size, list[str], list[str]]]


def painted(pictures: Pictures) -> Screen:
    """Paint pictures one after another, each on a terminal of its size, with lines above it."""
    screen = Screen()
    written = io.StringIO()
    painter = Painter(written, colours=False)
    for size, lines, above in pictures:
        shown = [Line(cut(line, size.width - 1)) for line in lines[: size.height - 1]]
        painter.paint(shown, size, [Line(line) for line in above])
        screen.feed(written.getvalue())
        written.seek(0)
        written.truncate()
    return screen


def test_a_picture_replaces_the_one_before_and_lines_above_it_stay() -> None:
    size = Size(9, 20)
    screen = painted([(size, ["one", "two", "three"], []), (size, ["uno"], ["news"]), (size, ["1", "2"], [])])
    assert screen.text == ["news", "1", "2", ""]


_sizes = st.builds(Size, st.integers(2, 8), st.integers(2, 5).map(lambda width: 10 * width))
_lines = st.lists(st.text("ab日 ", max_size=40), max_size=8)


@given(st.lists(st.tuples(_sizes, _lines, _lines), min_size=1, max_size=6))
def test_no_size_that_a_terminal_gets_leaves_rubbish_on_the_screen(pictures: Pictures) -> None:
    """Every line that is not in the last picture was written to stay, since the screen was cleared last."""
    screen = painted(pictures)
    size, last, _ = pictures[-1]
    picture = [cut(line, size.width - 1).rstrip() for line in last[: size.height - 1]]
    above = [line.rstrip() for _, _, lines in pictures for line in lines]
    stayed = screen.text[: len(screen.text) - len(picture) - 1]
    assert screen.text[len(stayed) :] == [*picture, ""]
    assert stayed == above[len(above) - len(stayed) :]
    if len({size.width for size, _, _ in pictures}) == 1 and min(size.height for size, _, _ in pictures) == 8:
        assert stayed == above


def test_another_width_clears_the_screen_and_a_lower_one_only_if_the_picture_no_longer_fits() -> None:
    picture = ["one", "two", "three"]
    assert painted([(Size(9, 20), picture, []), (Size(9, 30), ["now"], [])]).cleared == 1
    assert painted([(Size(9, 20), picture, []), (Size(5, 20), ["now"], [])]).cleared == 0
    assert painted([(Size(9, 20), picture, []), (Size(3, 20), ["now"], [])]).cleared == 1


def test_a_picture_is_written_at_once_and_erases_nothing_that_stays() -> None:
    writes: list[str] = []

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    painter = Painter(Terminal(), colours=False)
    painter.paint([Line("one"), Line("two")], Size(24, 80))
    painter.paint([Line("one"), Line("other")], Size(24, 80))
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
