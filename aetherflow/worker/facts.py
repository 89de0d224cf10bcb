"""What a worker says of itself, so that the engine sees before a run which workers differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from msgspec.structs import replace

from aetherflow.runs.worker_check import differences, facts_here
from aetherflow.sdk.executor import Place, WorkerFacts


def worker_facts(
    place: Place,
    threads: int,
    *,
    resources: Mapping[str, float] | None = None,
    labels: Collection[str] = (),
) -> WorkerFacts:
    """Return the facts of this process as a worker; reads all installed distributions, once."""
    return replace(
        _versions(), place=place, threads=threads, resources=dict(resources or {}), labels=sorted(labels)
    )


def worker_differences(facts: WorkerFacts) -> str:
    """Return in words what of a worker differs from this process; empty: nothing that matters.

    It reads all installed distributions, once.
    """
    return "; ".join(differences(facts, _versions()))


@cache
def _versions() -> WorkerFacts:
    """Return the versions of this process when it was asked first: before it has imported any plugin.

    If one is upgraded later, this process still runs what it has imported.
    """
    return facts_here(Place("", ""))
