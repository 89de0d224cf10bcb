"""Collect the diagnostics of a file, so that all are reported at once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aetherflow.errors import Diagnostic, Position, Severity
from aetherflow.language.reference import TextDiagnostic
from aetherflow.redaction.addresses import redactor_of_messages
from aetherflow.spec.document import Document

if TYPE_CHECKING:
    from aetherflow.spec.tolerant_read import Assumptions

Path = tuple[str | int, ...]


class DiagnosticSink:
    """The diagnostics of one document, in the order in which they were found.

    If parts of the document were guessed, it drops the diagnostics that may only follow from a guess.
    """

    def __init__(
        self, document: Document, found: Iterable[Diagnostic] = (), guesses: Assumptions | None = None
    ) -> None:
        self.document = document
        self.diagnostics = list(found)
        self._guesses = guesses

    @property
    def has_errors(self) -> bool:
        """Whether there is an error: then the flow must not run."""
        return any(d.severity == "error" for d in self.diagnostics)

    def in_order(self, mask: Callable[[str], str]) -> dict[Diagnostic, Diagnostic]:
        """Return the diagnostics in the order of the file, each with itself and an excerpt as its value.

        `mask` masks the secrets in the excerpts, besides those of the messages in the file.
        """
        if not self.diagnostics:
            return {}
        from aetherflow.spec.excerpt import with_excerpts  # noqa: PLC0415 - most flows are right

        of_messages = redactor_of_messages(self.document.value)
        ordered = sorted(dict.fromkeys(self.diagnostics), key=lambda d: (d.line, d.column))
        file, source = self.document.file, self.document.source
        shown = with_excerpts(ordered, file, source, lambda line: mask(of_messages.text(line)))
        return dict(zip(ordered, shown, strict=True))

    def place(self, path: Path) -> Position:
        """Return the position of the node at `path`."""
        return self.document.position(self._as_written(path))

    def lines(self, path: Path, count: int) -> list[int]:
        """Return the lines of the first `count` items of the list at `path`."""
        if self._guesses is None:
            return self.document.lines(path, count)
        return [self.place((*path, number)).line for number in range(count)]

    def text_place(self, path: Path, offset: int) -> Position:
        """Return the position of a character of the text at `path`."""
        return self.document.text_position(self._as_written(path), offset)

    def is_guess(self, path: Path) -> bool:
        """Whether the node at `path` was guessed: the file does not have it."""
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
        """Add a diagnostic at a node of the document, or at a position; `about` is the node concerned."""
        about = about or (() if isinstance(where, Position) else where)
        if self._guesses is not None and self._guesses.explains(code, about):
            return
        if not isinstance(where, Position) and self.is_guess(where):
            return
        place = where if isinstance(where, Position) else self.place(where)
        self.diagnostics.append(
            Diagnostic(code, message, self.document.file, place.line, place.column, severity, hint)
        )

    def add_problem(self, base: Path, problem: TextDiagnostic) -> None:
        """Add a diagnostic of a template or condition at `base`."""
        place = self.text_place((*base, *problem.where), problem.offset)
        self.add(place, problem.code, problem.message, problem.hint)

    def written(self, path: Path, value: object) -> str:
        """Return the characters of the scalar at a path, as the file has them."""
        return self.document.written(self._as_written(path), value)

    def _as_written(self, path: Path) -> Path:
        return path if self._guesses is None else self._guesses.as_written(path)
