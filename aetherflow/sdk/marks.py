"""The high-water marks of steps: where they are stored, and the marks of a context outside a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from aetherflow.errors import StepError
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.ports import StoredMark
from aetherflow.redaction import Redactor


def check_mark_text(what: Literal["name", "value"], text: str, redactor: Redactor) -> None:
    """Check the name or the value of a mark, which are stored and shown.

    Raises:
        StepError: it holds a secret, or there is no name.
    """
    if what == "name" and not text:
        raise StepError("a mark has no name", hint="give it one, such as orders", code="AF990")
    if redactor.text(text) != text:
        raise StepError(
            f"the {what} of a mark holds a secret, and marks are stored and shown",
            hint="name the mark by something that may be seen, and use another column",
            code="AF990",
        )


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
