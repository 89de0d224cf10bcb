"""Protocols of what the pure rooms and plugins need; rooms above them bring the implementations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aetherflow.events.run_events import Items


class OutputStore(Protocol):
    """Stores output values that are too large for the journal, and puts references in their place."""

    async def set_aside(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value, which is stored by then."""
        ...

    def defer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value; `write` stores the values."""
        ...

    def defer_items(self, items: list[Any]) -> Items:
        """Return the items of a `for_each`, or a reference if they are large; `write` stores them."""
        ...

    async def write(self) -> None:
        """Store what was deferred, before the events that refer to it are stored.

        Raises:
            StateError: a value cannot be stored; the run must stop.
        """
        ...

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with the values that their references stand for."""
        ...
