"""Collects what is wrong with a file, so that everything is told at once."""

from __future__ import annotations

from collections.abc import Iterable

from aetherflow.errors import Diagnostic, Position, Severity
from aetherflow.language.reference import TextDiagnostic
from aetherflow.spec.document import Document
from aetherflow.spec.tolerant_read import Assumptions

Path = tuple[str | int, ...]


class DiagnosticSink:
    """The diagnostics of one document, in the order in which they were found.

    Of a document that was read as it was meant, nothing is told that might only follow from a guess.
    """

    def __init__(
        self, document: Document, found: Iterable[Diagnostic] = (), guesses: Assumptions | None = None
    ) -> None:
        self.document = document
        self.diagnostics = list(found)
        self._guesses = guesses

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far forbids a run."""
        return any(d.severity == "error" for d in self.diagnostics)

    def place(self, path: Path) -> Position:
        """Return where the node at `path` stands."""
        return self.document.position(self._as_written(path))

    def text_place(self, path: Path, offset: int) -> Position:
        """Return where a character of the text at `path` stands."""
        return self.document.text_position(self._as_written(path), offset)

    def is_guess(self, path: Path) -> bool:
        """Whether what stands at `path` is a stand-in for what the file does not say."""
        return self._guesses is not None and self._guesses.covers(path)

    def add(
        self,
        where: Path | Position,
        code: str,
        message: str,
        hint: str = "",
        severity: Severity = "error",
        *,
        about: Path | None = None,
    ) -> None:
        """Add a finding at a node of the document, or at a place in it; `about` is the node concerned."""
        about = about or (() if isinstance(where, Position) else where)
        if self._guesses is not None and self._guesses.explains(code, about):
            return
        if not isinstance(where, Position) and self.is_guess(where):
            return
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

    def add_problem(self, base: Path, problem: TextDiagnostic) -> None:
        """Add a problem of a template or condition that stands at `base`."""
        place = self.text_place((*base, *problem.where), problem.offset)
        self.add(place, problem.code, problem.message, problem.hint)

    def _as_written(self, path: Path) -> Path:
        return path if self._guesses is None else self._guesses.as_written(path)
