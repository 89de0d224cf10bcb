"""Collects what is wrong with a file, so that everything is told at once."""

from __future__ import annotations

from collections.abc import Iterable

from aetherflow.errors import Diagnostic, Position, Severity
from aetherflow.language.reference import Problem
from aetherflow.spec.document import Document

Path = tuple[str | int, ...]


class Findings:
    """The diagnostics of one document, in the order in which they were found."""

    def __init__(self, document: Document, found: Iterable[Diagnostic] = ()) -> None:
        self.document = document
        self.diagnostics = list(found)

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far forbids a run."""
        return any(d.severity == "error" for d in self.diagnostics)

    def place(self, path: Path) -> Position:
        """Return where the node at `path` stands."""
        return self.document.position(path)

    def add(
        self, where: Path | Position, code: str, message: str, hint: str = "", severity: Severity = "error"
    ) -> None:
        """Add a finding at a node of the document, or at a place in it."""
        place = where if isinstance(where, Position) else self.place(where)
        self.diagnostics.append(
            Diagnostic(
                code=code,
                message=message,
                file=self.document.file,
                line=place.line,
                column=place.column,
                severity=severity,
                hint=hint,
            )
        )

    def add_problem(self, base: Path, problem: Problem) -> None:
        """Add a problem of a template or condition that stands at `base`."""
        place = self.document.text_position((*base, *problem.where), problem.offset)
        self.add(place, problem.code, problem.message, problem.hint)
