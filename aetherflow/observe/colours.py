"""Show lines that programs wrote: with their colours on a terminal, without them elsewhere.

Colours are the sequences that choose how text looks (SGR). Whatever else could steer a terminal is never
passed on.
"""

from __future__ import annotations

import os
import re
from typing import TextIO

from aetherflow.observe.event_text import one_line

_LOOK = r"(\x1b\[[0-9;:]*m)"  # compiled where the first text has such
_RESET = "\x1b[0m"


def shows_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal on which the user wants colours (https://no-color.org)."""
    dumb = os.environ.get("TERM", "") in {"", "dumb", "unknown"}
    return not dumb and not os.environ.get("NO_COLOR") and stream.isatty()


def coloured_line(text: str, most: int | None = None) -> str:
    """Return the text on one line with its colours, which end with it; control characters are escapes.

    Args:
        text: what a program wrote.
        most: how many characters are shown, without the colours; None: all of them.
    """
    if "\x1b[" not in text:
        return one_line(text if most is None else text[:most])
    shown, room, has_look = [], len(text) if most is None else most, False
    for number, part in enumerate(re.split(_LOOK, text)):
        if number % 2:
            shown.append(part)
            has_look = True
        elif room > 0:
            shown.append(one_line(part)[:room])
            room -= len(shown[-1])
    return "".join(shown) + (_RESET if has_look else "")
