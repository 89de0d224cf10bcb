"""What a worker says of itself, so that the engine sees before a run which workers differ."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import entry_points

from aetherflow._version import __version__
from aetherflow.sdk.executor import Place, WorkerFacts

_OWN = "aetherflow"
_GROUPS = ("aetherflow.steps", "aetherflow.connectors", "aetherflow.plugins")
"""The entry points of what steps need where they run."""


def worker_facts(
    place: Place,
    threads: int,
    *,
    resources: Mapping[str, float] | None = None,
    labels: Collection[str] = (),
) -> WorkerFacts:
    """Return the facts of this process as a worker; reads all installed distributions, once."""
    return WorkerFacts(
        place,
        threads,
        python=platform.python_version(),
        aetherflow=__version__,
        plugins=installed_plugins(),
        resources=dict(resources or {}),
        labels=sorted(labels),
    )


def installed_plugins() -> dict[str, str]:
    """Return the version of each installed distribution that has plugins, besides AetherFlow, by its name."""
    found: dict[str, str] = {}
    for group in _GROUPS:
        for entry in entry_points(group=group):
            if entry.dist is not None and entry.dist.name != _OWN:
                found[entry.dist.name] = entry.dist.version
    return dict(sorted(found.items()))


def differences(facts: WorkerFacts, own: WorkerFacts) -> Iterable[str]:
    """Yield in words what of a worker differs from this process, so that attempts could end otherwise there.

    Of AetherFlow and of Python the first two numbers count; a version of AetherFlow that is no release must
    be the same.
    """
    if _series(facts.python) != _series(own.python):
        yield f"Python {facts.python} instead of {own.python}"
    is_release = all(part.isdigit() for part in facts.aetherflow.split("."))
    series = _series if is_release else str
    if series(facts.aetherflow) != series(own.aetherflow):
        yield f"AetherFlow {facts.aetherflow} instead of {own.aetherflow}"
    for name in sorted({*facts.plugins, *own.plugins}):
        theirs, ours = facts.plugins.get(name, ""), own.plugins.get(name, "")
        if theirs != ours:
            yield f"{name} {theirs or '(not installed)'} instead of {ours or '(not installed)'}"


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])
