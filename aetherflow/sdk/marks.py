"""The high-water marks of steps: where they are stored, and the marks of a context outside a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aetherflow.errors import StepError
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.ports import StoredMark


class Marks(Protocol):
    """The stored marks of one flow."""

    async def read(self, name: str) -> StoredMark:
        """Return a mark as it is stored now.

        Raises:
            StateError: the database could not be used.
        """
        ...


class NoMarks:
    """The marks of a context outside a run: there are none."""

    async def read(self, name: str) -> Mark | None:
        """Raise an error.

        Raises:
            StepError: always.
        """
        raise StepError(f"the mark {name!r} cannot be read: this context is no part of a run", code="AF990")

    async def used(self, moved: Mapping[str, Mark]) -> dict[str, MarkUse]:
        """Return what the step moves: it has read nothing."""
        return {name: MarkUse(after=mark) for name, mark in moved.items()}


class MemoryMarks:
    """Stored marks in memory, for tests of steps."""

    def __init__(self) -> None:
        self.stored: dict[str, Mark] = {}

    async def read(self, name: str) -> StoredMark:
        """Return a mark."""
        return StoredMark(self.stored.get(name))
