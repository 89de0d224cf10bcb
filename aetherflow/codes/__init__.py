"""Every code of an error or warning, explained: what `aetherflow explain-code` prints.

The entries are data, one module for each hundred of codes; only that command and the tests read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from aetherflow.codes.entry import Entry

__all__ = ["MODULES", "Entry", "all_codes", "entry_of"]

MODULES: Mapping[str, str] = {
    "0": "general",
    "1": "files",
    "2": "scheduler",
    "4": "language",
    "5": "configuration",
    "6": "state",
    "7": "steps",
    "8": "surroundings",
}
"""The first digit of a code, and the module that explains it."""


@cache
def all_codes() -> dict[str, Entry]:
    """Return all entries by their code, in order."""
    found: dict[str, Entry] = {}
    for name in MODULES.values():
        found |= import_module(f"{__name__}.{name}").ENTRIES
    return dict(sorted(found.items()))


def entry_of(code: str) -> Entry | None:
    """Return what is known of a code, or None."""
    name = MODULES.get(code[2:3])
    entries: dict[str, Entry] = import_module(f"{__name__}.{name}").ENTRIES if name else {}
    return entries.get(code)
