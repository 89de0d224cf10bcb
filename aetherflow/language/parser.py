"""Parse conditions by recursive descent, with a method for each rule of the grammar (see `condition`)."""

from __future__ import annotations

import re
from typing import Any

from aetherflow.language.lexer import Lexeme, lexemes
from aetherflow.language.operand import Operand, all_of, any_of, compared, constant, negated, path
from aetherflow.language.reference import MAX_PARTS, Reference, TextDiagnostic
from aetherflow.spec.suggest import did_you_mean

MAX_NESTING = 50
ROOTS = ("jobs", "params", "env", "run", "today", "yesterday")

_SHAPES = {
    "jobs": "jobs.ID.outputs.KEY or jobs.ID.status",
    "params": "params.NAME",
    "env": "env.NAME",
    "run": "run.date, the date for which the run was scheduled",
    "today": "today, which is run.date",
    "yesterday": "yesterday, the day before run.date",
}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")
_LIST = "a list is written in square brackets, on the right of in: ['a', 'b']"
_QUOTES = "text is written in quotes"
_EARLIER = (
    "a condition is decided before the first step of its job: test what other jobs gave, jobs.ID.outputs.KEY"
)
_CALLS = {
    "success": "write jobs.ID.status == 'SUCCESS'; a job in depends_on has always succeeded",
    "failure": "write jobs.ID.status == 'FAILED', without that job in depends_on",
    "always": "write jobs.ID.status != '', without that job in depends_on",
}
_EXAMPLE = "a condition looks like: jobs.ID.outputs.KEY > 0 and env.NAME == 'text'"
_SHOWN = 40


class SyntaxFound(Exception):
    """The condition cannot be read any further."""

    def __init__(self, problem: TextDiagnostic) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Parser:
    """Reads one condition; each method reads one rule of the grammar.

    Attributes:
        references: the paths that were read.
        problems: the paths among them that no condition may read.
    """

    def __init__(self, text: str) -> None:
        self.lexemes = list(lexemes(text))
        self.position = 0
        self.depth = 0
        self.references: list[Reference] = []
        self.problems: list[TextDiagnostic] = []

    @property
    def next(self) -> Lexeme:
        """The lexeme that was not read yet."""
        return self.lexemes[self.position]

    def take(self, *texts: str) -> Lexeme | None:
        """Go past the next lexeme if it is one of these."""
        lexeme = self.next
        if any(lexeme.is_(text) for text in texts):
            self.position += 1
            return lexeme
        return None

    def whole(self) -> Operand:
        """Read the condition up to its end.

        Raises:
            SyntaxFound: it cannot be read.
        """
        result = self.either()
        if self.next.kind != "end":
            raise self.refused("expected and, or, a comparison or the end")
        return result

    def either(self) -> Operand:
        """Read parts joined by `or`."""
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return any_of(parts)

    def both(self) -> Operand:
        """Read parts joined by `and`."""
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return all_of(parts)

    def negation(self) -> Operand:
        """Read a test, perhaps after `not`."""
        if (lexeme := self.take("not")) is None:
            return self.test()
        self.enter(lexeme)
        operand = self.negation()
        self.depth -= 1
        return negated(operand)

    def test(self) -> Operand:
        """Read a value, perhaps compared with others."""
        left = self.value()
        tests: list[Operand] = []
        while (symbol := self.symbol()) is not None:
            right = self.box() if symbol.endswith("in") else self.value()
            tests.append(compared(symbol, left, right))
            if right.kind == "list":
                break
            left = right
        return all_of(tests) if tests else left

    def symbol(self) -> str | None:
        """Parse a comparison, if there is one here."""
        if (lexeme := self.take(*_COMPARISONS)) is not None:
            return lexeme.text
        if self.next.is_("not") and self.lexemes[self.position + 1].is_("in"):
            self.position += 2
            return "not in"
        return None

    def box(self) -> Operand:
        """Parse the right side of `in`."""
        lexeme = self.next
        if self.take("["):
            return self.list_()
        operand = self.value()
        if operand.kind == "literal" and not isinstance(lexeme.value, str):
            raise self.refused("expected a path, a text or a list after in", lexeme, _LIST)
        return operand

    def list_(self) -> Operand:
        """Read a list of literals, after its opening bracket."""
        items: list[Any] = []
        if not self.take("]"):
            while True:
                if self.next.kind != "literal":
                    raise self.refused("expected a literal in the list")
                items.append(self.next.value)
                self.position += 1
                if self.take("]"):
                    break
                if not self.take(","):
                    raise self.refused("expected , or ] in the list")
        return constant("list", "the list", items)

    def value(self) -> Operand:
        """Parse a path, a literal or an expression in parentheses."""
        lexeme = self.next
        if self.take("("):
            self.enter(lexeme)
            inside = self.either()
            if not self.take(")"):
                raise self.refused("expected )", hint=_LIST if self.next.is_(",") else "")
            self.depth -= 1
            return inside
        if lexeme.kind == "literal":
            self.position += 1
            return constant("literal", _short(lexeme.text), lexeme.value)
        if lexeme.kind == "path":
            self.position += 1
            return self.reference(lexeme)
        raise self.refused("expected a path or a literal")

    def reference(self, lexeme: Lexeme) -> Operand:
        """Check a path that was read, and note it."""
        if self.next.is_("("):
            raise self.refused("calls are not supported", hint=_CALLS.get(lexeme.text, ""))
        if self.next.is_("["):
            raise self.refused(
                "indexing is not supported", hint="let a step pick the item, and test its output"
            )
        parts = tuple(lexeme.text.split("."))
        if (problem := _wrong_path(lexeme, parts)) is not None:
            self.problems.append(problem)
            return constant("path", lexeme.text, None)
        self.references.append(Reference(parts, None, (), lexeme.offset))
        return path(lexeme.text, parts)

    def enter(self, lexeme: Lexeme) -> None:
        """Go one level deeper."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.refused(
                f"nested more than {MAX_NESTING} levels deep", lexeme, "let a step compute a part of it"
            )

    def refused(self, expected: str, lexeme: Lexeme | None = None, hint: str = "") -> SyntaxFound:
        """Return the error for a lexeme (by default the next one) that is not allowed here."""
        at = lexeme or self.next
        if at.kind == "bad":
            hint = at.value
        elif at.is_("["):
            hint = hint or _LIST
        elif _REST_OF_DATE.fullmatch(at.text):
            hint = hint or _DATE
        found = "its end" if at.kind == "end" else repr(_short(at.text))
        message = f"the condition cannot be read at {found}: {expected}"
        return SyntaxFound(TextDiagnostic(message, (), at.offset, "AF421", hint or _EXAMPLE))


_TRUTH = dict.fromkeys(("yes", "on"), "write true") | dict.fromkeys(("no", "off"), "write false")
_REST_OF_DATE = re.compile(r"-[0-9]{2}")
_DATE = "a date is a text, and text is written in quotes: '2026-01-31'"


def _wrong_path(lexeme: Lexeme, path: tuple[str, ...]) -> TextDiagnostic | None:
    """Return the problem of a path: its root or its shape is wrong."""
    root = path[0]
    shown = _short(lexeme.text)
    if root == "jobs" and len(path) > 2 and path[-1] not in ("outputs", "status"):  # noqa: PLR2004 - JOB, KEY
        hint = f"write jobs.{path[1]}.outputs.{path[-1]}"
        if "outputs" not in path:
            return TextDiagnostic(f"{shown!r} is no path of a condition", (), lexeme.offset, "AF422", hint)
    if root not in ROOTS:
        hint = (
            _TRUTH.get(root.lower(), "")
            or (_EARLIER if root in ("steps", "result", "item") and len(path) > 1 else "")
            or did_you_mean(root, ROOTS)
            or _QUOTES + (f": '{root}'" if root == shown and root.isalnum() else "")
        )
        message = f"{shown!r} is not known in a condition: a path begins with jobs, params or env"
        return TextDiagnostic(message, (), lexeme.offset, "AF422", hint)
    match path:
        case ("jobs", _, *_, "outputs", _) | ("jobs", _, *_, "status") if len(path) <= MAX_PARTS:
            return None
        case ("params" | "env", _) | ("run", "date") | ("today" | "yesterday",):
            return None
    return TextDiagnostic(
        f"{shown!r} is no path of a condition", (), lexeme.offset, "AF422", f"write {_SHAPES[root]}"
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
