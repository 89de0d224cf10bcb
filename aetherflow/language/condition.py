"""Conditions: the `when` of a job, parsed once, evaluated many times.

    or    = and { "or" and }
    and   = not { "and" not }
    not   = "not" not | test
    test  = value { comparison value | ["not"] "in" ( value | list ) }
    value = path | number | text | "true" | "false" | "null" | "(" or ")"
    list  = "[" [ literal { "," literal } ] "]"

Comparisons are == != < <= > >=; `a < b < c` means `a < b and b < c`. Keywords, true, false and null (also
none) may be written in any case. In a text, a backslash takes away the meaning of a quote or a backslash that
follows; any other backslash is itself. An empty condition is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from aetherflow.language.comparison import truth
from aetherflow.language.operand import Evaluate
from aetherflow.language.parser import Parser, SyntaxFound
from aetherflow.language.reference import Reference, TextDiagnostic
from aetherflow.language.seen import Mask, Noting, described
from aetherflow.language.template_error import ConditionError

__all__ = ["Condition", "ConditionError", "compile_condition"]

MAX_LENGTH = 10_000


class Condition(msgspec.Struct, frozen=True, eq=False):
    """A condition over `jobs`, `params` and `env`.

    Attributes:
        text: the condition as written.
        references: the paths it reads, in order.
    """

    text: str
    references: tuple[Reference, ...]
    _evaluate: Evaluate

    def evaluate(self, scope: Mapping[str, Any]) -> bool:
        """Return whether it holds; a path that leads nowhere is null.

        Raises:
            ConditionError: null, or values of unlike kinds, cannot be compared.
        """
        try:
            return truth(self._evaluate(scope))
        except RecursionError:
            raise ConditionError(
                "the values of the condition are nested too deep to be compared",
                hint="let a step compute the answer, and test its output",
            ) from None

    def saw(self, scope: Mapping[str, Any], mask: Mask) -> str:
        """Return the values on which its result depends: `: params.limit is 5`, masked; empty without any."""
        noting = Noting(scope)
        with suppress(ConditionError):
            self.evaluate(noting)
        return described(noting.seen.values(), mask)

    def saw_besides_null(self, scope: Mapping[str, Any], mask: Mask) -> str:
        """Return what `saw` returns without what is null: an error names that itself."""
        noting = Noting(scope)
        with suppress(ConditionError):
            self.evaluate(noting)
        return described((one for one in noting.seen.values() if one.value is not None), mask)


def compile_condition(text: str) -> tuple[Condition | None, list[TextDiagnostic]]:
    """Return the condition of a text, or None and its diagnostics."""
    if len(text) > MAX_LENGTH:
        hint = "let a step compute the answer, and test its output"
        message = f"the condition has {len(text)} characters, at most {MAX_LENGTH} are allowed"
        return None, [TextDiagnostic(message, (), 0, "AF421", hint)]
    if not text.strip():
        return Condition(text, (), lambda _: True), []
    parser = Parser(text)
    try:
        whole = parser.whole()
    except SyntaxFound as found:
        return None, [*parser.problems, found.problem]
    if parser.problems:
        return None, parser.problems
    return Condition(text, tuple(parser.references), whole.read), []
