"""Say in words where steps run that do not all run in the process of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


def place_words(
    executors: Iterable[str], labels: Iterable[str], resources: Mapping[str, float]
) -> Iterator[str]:
    """Yield where steps run, what their workers are called, and what they take of what workers offer."""
    if where := " and ".join(executors):
        yield f"on {where}"
    if called := " and ".join(labels):
        yield f"runs_on {called}"
    if taken := ", ".join(f"{name}={amount:g}" for name, amount in resources.items()):
        yield f"resources {taken}"
