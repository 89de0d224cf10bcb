"""The rule about plain scalars: `yes`, `010` and `12:30` are values in YAML 1.1, and others or text here."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from typing import Any

from yaml.nodes import ScalarNode

from aetherflow.migration.difference import Change, Replace, changed
from aetherflow.migration.old_file import OldFile, begin, new_value, old_value, quoted_text, replaced, scalars

SPELLING = "AF171"


def spelling_changes(old: OldFile, edited: set[int]) -> Iterator[Change]:
    """Write each value that is read otherwise here so that it is the same.

    Args:
        old: the file.
        edited: where scalars begin that another rule has written.
    """
    for node in scalars(old.root):
        there = old_value(node)
        here = new_value(node)
        if node.style or begin(old, node) in edited or _are_same(there, here):
            continue
        text = spelled(there)
        if text != node.value:
            yield changed(
                node,
                SPELLING,
                f"{node.value} is {_shown(there)}",
                f"it is {_shown(here)}",
                text,
                replaced(old, node, text),
            )


def _are_same(there: Any, here: Any) -> bool:
    if isinstance(there, dt.date):
        return isinstance(here, str)  # a driver or a file gets the text that is written
    if isinstance(there, float) and isinstance(here, float) and math.isnan(there):
        return math.isnan(here)
    return type(there) is type(here) and bool(there == here)


def spelled(value: Any) -> str:
    """Return a value so that it is read the same here."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return quoted_text(value) if isinstance(value, str) else json.dumps(value, default=str)


def _shown(value: Any) -> str:
    return f"the text {quoted_text(value)}" if isinstance(value, str) else spelled(value)


def as_python_text(old: OldFile, node: ScalarNode) -> Replace | None:
    """Return the edit that writes the text which Python made of a value, if another is made of it here."""
    value = old_value(node)
    if isinstance(value, str):
        # what is a number here keeps the characters that are written where a text is needed
        return None
    text = str(value)
    return None if text == old.source(node) else replaced(old, node, quoted_text(text))
