"""Words about stale results, and which of their readers must be named to run again. Pure; imports nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

READERS_SHOWN = 20
"""How many stale results a line names before it only counts them."""

Stale = Mapping[str, Sequence[str]]
"""What each reader (`job`, `job[n]` or `job/step`) had read, as `RunResumed` and `RunFinished` have it."""


def readers_to_run(stale: Stale) -> list[str]:
    """Return the readers that must be named to run again: those that read another stale result follow it."""
    jobs = {job_of(reader) for reader in stale}
    return [reader for reader, read in stale.items() if jobs.isdisjoint(read)]


def names_to_run(stale: Stale) -> list[str]:
    """Return these readers as `--rerun` names them."""
    return [shown(reader) for reader in readers_to_run(stale)]


def options_to_run(stale: Stale, option: str) -> str:
    """Return the first of them as options of a command: `--rerun collect --rerun load.copy`."""
    return " ".join(f"{option} {name}" for name in names_to_run(stale)[:READERS_SHOWN])


def stale_text(stale: Stale) -> str:
    """Return which results are stale, in words: `collect read load; mail read collect`."""
    parts = [f"{shown(reader)} read {', '.join(map(shown, read))}" for reader, read in stale.items()]
    more = len(parts) - READERS_SHOWN
    return "; ".join(parts[:READERS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def shown(name: str) -> str:
    """Return a reader, or what it had read, as people and `--rerun` name it: `job.step`."""
    return name.replace("/", ".", 1)


def job_of(name: str) -> str:
    """Return the job of a reader: `load` for `load[3]/copy`. Ids have no slash and no bracket."""
    return name.partition("/")[0].partition("[")[0]
