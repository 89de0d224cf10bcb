"""Choose the members of an archive that a step wants: by name, or by a pattern such as `*.csv`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from aetherflow import StepError

_MOST_NAMES = 5


def chosen_names(archive: Path, names: Collection[str], wanted: Sequence[str] | None) -> set[str]:
    """Return the names that are wanted; all of them if none are named.

    Raises:
        StepError: a name or pattern matches none (AF398).
    """
    if wanted is None:
        return set(names)
    there = set(names)
    taken: set[str] = set()
    for one in wanted:
        found = {one} & there or {name for name in there if fnmatchcase(name, one)}
        if not found:
            listed = ", ".join(map(repr, sorted(there)[:_MOST_NAMES])) or "none"
            more = f" and {len(there) - _MOST_NAMES} more" if len(there) > _MOST_NAMES else ""
            raise StepError(f"{archive} has no member {one!r}", hint=f"it has {listed}{more}", code="AF398")
        taken |= found
    return taken


def may_be_chosen(name: str, wanted: Sequence[str] | None) -> bool:
    """Whether a name is wanted, before all names are known."""
    return wanted is None or any(name == one or fnmatchcase(name, one) for one in wanted)
