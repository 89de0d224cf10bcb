"""Before a run begins: compare its workers with this process, and what they offer with what steps need."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from aetherflow._version import __version__
from aetherflow.errors import ConfigError
from aetherflow.sdk.executor import Needs, Place, WorkerFacts

NAMED_AT_MOST = 5
"""How many workers or steps an error names."""

_OWN = "aetherflow"
_GROUPS = ("aetherflow.steps", "aetherflow.connectors", "aetherflow.plugins")
"""The entry points of what steps need where they run."""


def facts_here(place: Place, threads: int = 1) -> WorkerFacts:
    """Return the versions of this process; reads all installed distributions."""
    return WorkerFacts(
        place,
        threads,
        python=platform.python_version(),
        aetherflow=__version__,
        plugins=installed_plugins(),
    )


def installed_plugins() -> dict[str, str]:
    """Return the version of each installed distribution that has plugins, besides AetherFlow, by its name."""
    # To read a name or a version, all metadata of the distribution is parsed: not once more for each entry.
    found = {entry.dist for group in _GROUPS for entry in entry_points(group=group) if entry.dist is not None}
    versions = {distribution.name: distribution.version for distribution in found}
    return {name: versions[name] for name in sorted(versions.keys() - {_OWN})}


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


def refuse_other_versions(executor: str, workers: Sequence[WorkerFacts]) -> None:
    """Refuse workers on which a step could do something else than here.

    Raises:
        ConfigError: one has another version of AetherFlow, of Python or of a plugin; they are named.
    """
    own = facts_here(Place("engine", ""))
    by_difference: dict[str, list[str]] = {}
    for facts in workers:
        if found := "; ".join(differences(facts, own)):
            by_difference.setdefault(found, []).append(f"{facts.place.worker} ({facts.place.host})")
    if not by_difference:
        return
    lines = [f"{_some(names)}: {found}" for found, names in by_difference.items()]
    raise ConfigError(
        f"workers of the executor {executor!r} differ from this process:\n" + "\n".join(lines),
        hint="install the same versions there, and restart these workers; nothing was run",
        code="AF826",
    )


def unmet_need(workers: Sequence[WorkerFacts], needs: Mapping[str, Needs]) -> tuple[str, Needs] | None:
    """Return the first step with what it needs and no worker offers; None if there is none.

    Args:
        workers: what there is.
        needs: by the names of the steps.
    """
    for step, wanted in needs.items():
        if not any(_offers(facts, wanted) for facts in workers):
            return step, wanted
    return None


def refuse_unmet_needs(executor: str, workers: Sequence[WorkerFacts], needs: Mapping[str, Needs]) -> None:
    """Refuse a run with steps that no worker may run.

    Args:
        executor: its name.
        workers: what there is.
        needs: by the names of the steps.

    Raises:
        ConfigError: no worker offers what a step needs; says what there is.
    """
    unmet = unmet_need(workers, needs)
    if unmet is None:
        return
    raise ConfigError(
        f"no worker of the executor {executor!r} offers what {need_in_words(*unmet)}",
        hint=f"workers offer: {offers_in_words(workers)}; start one with {_as_options(unmet[1])}; "
        "those that a run starts offer what labels and resources of the executor say",
        code="AF827",
    )


def need_in_words(step: str, wanted: Needs) -> str:
    """Return what a step needs: `step a.s needs: runs_on: gpu`."""
    return f"step {step} needs: {_in_words(wanted)}"


def offers_in_words(workers: Sequence[WorkerFacts]) -> str:
    """Return which labels workers have, and the most that one of them offers of each resource."""
    labels = sorted({label for facts in workers for label in facts.labels})
    offered: dict[str, float] = {}
    for facts in workers:
        for name, amount in facts.resources.items():
            offered[name] = max(offered.get(name, 0), amount)
    there = [*(f"the label {label}" for label in labels)]
    there += [f"{name}: {amount:g}" for name, amount in sorted(offered.items())]
    return ", ".join(there) or "nothing"


def _as_options(wanted: Needs) -> str:
    """Return the options of `aetherflow worker` that offer what a step needs."""
    label = [f"--label {shlex.quote(wanted.label)}"] if wanted.label else []
    amounts = [f"--resource {shlex.quote(f'{name}={one:g}')}" for name, one in wanted.resources.items()]
    return " ".join([*label, *amounts])


def _offers(facts: WorkerFacts, wanted: Needs) -> bool:
    has_label = not wanted.label or wanted.label in facts.labels
    return has_label and all(
        facts.resources.get(name, 0) >= amount for name, amount in wanted.resources.items()
    )


def _in_words(wanted: Needs) -> str:
    said = [f"runs_on: {wanted.label}"] if wanted.label else []
    return ", ".join([*said, *(f"{name}: {amount:g}" for name, amount in wanted.resources.items())])


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
