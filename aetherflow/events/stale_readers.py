"""Words about stale results, and which of their readers must be named to run again. Pure; imports nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

READERS_SHOWN = 20
"""How many stale results a line names before it only counts them."""

Stale = Mapping[str, Sequence[str]]
"""What each reader (`job`, `job[n]` or `job.step`) had read, as `RunResumed` and `RunFinished` have it."""


def readers_to_run(stale: Stale) -> list[str]:
    """Return the readers that must be named to run again: those that read another stale result follow it."""
    return [
        reader
        for reader, read in stale.items()
        if not any(_is_of(other, job) for other in stale if other != reader for job in read)
    ]


def stale_text(stale: Stale) -> str:
    """Return which results are stale, in words: `collect read load; mail read collect`."""
    parts = [f"{reader} read {', '.join(read)}" for reader, read in stale.items()]
    more = len(parts) - READERS_SHOWN
    return "; ".join(parts[:READERS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _is_of(reader: str, job: str) -> bool:
    """Whether a reader is this job, or an instance or a step of it."""
    return reader == job or reader.startswith((f"{job}.", f"{job}["))
