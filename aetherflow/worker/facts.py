"""What a worker says of itself, so that the engine sees before a run which workers differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from aetherflow.runs.worker_check import facts_here
from aetherflow.sdk.executor import Place, WorkerFacts


def worker_facts(
    place: Place,
    threads: int,
    *,
    resources: Mapping[str, float] | None = None,
    labels: Collection[str] = (),
) -> WorkerFacts:
    """Return the facts of this process as a worker; reads all installed distributions, once."""
    return replace(facts_here(place, threads), resources=dict(resources or {}), labels=sorted(labels))
