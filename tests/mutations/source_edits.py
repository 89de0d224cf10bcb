"""Find the small changes (mutants) that can be made to a Python source, each as an exact edit of its text.

What is changed: comparisons (negated, and moved at their boundary), conditions, `and`/`or`, `not`, True and
False, numbers, + and -, min and max, `return` of a value, calls whose result is not used, caught errors.

What is not: annotations, decorators, keywords of classes, docstrings, f-strings (Python 3.11 does not say
where their parts are), `zip(strict=...)` and named times (`PATIENCE_SECONDS = 30.0`): declarations, and what
no test should fix.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

import msgspec

_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
_SPELLED: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.Add: "+",
    ast.Sub: "-",
}
_OTHER = {"and": "or", "or": "and", "+": "-", "-": "+", "min": "max", "max": "min"}
_EVERYTHING = {"Exception", "BaseException"}


class Mutant(msgspec.Struct, frozen=True, order=True):
    """One change of a source file: bytes `start` to `end` are replaced."""

    file: str
    """Path below the root of the project, with slashes."""
    start: int
    end: int
    replacement: str

    def apply(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.replacement.encode() + source[self.end :]

    def line(self, source: bytes) -> int:
        """Return the number of the line where the change begins."""
        return source.count(b"\n", 0, self.start) + 1

    def lines(self, source: bytes) -> tuple[list[str], list[str]]:
        """Return the lines that change: as they are, and as they become."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        before = source[first : last if last >= 0 else len(source)].decode()
        inside = self.apply(source)[first:].decode()
        after = inside[: len(inside) - len(source[first:].decode()) + len(before)]
        return before.splitlines(), after.splitlines()


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a source, in the order of the text."""
    finder = _Finder(file, source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found))


class _Finder(ast.NodeVisitor):
    """Collects mutants; positions of the syntax tree are lines and bytes."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        self.found: list[Mutant] = []
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._operators = list(self._tokens())

    def _tokens(self) -> Iterator[tuple[int, int, str]]:
        """Return where operators and words of the source are; `is not` and `not in` are one."""
        lines = self.source.decode().splitlines(keepends=True)
        last: tuple[int, int, str] | None = None
        for token in tokenize.generate_tokens(io.StringIO(self.source.decode()).readline):
            if token.type not in (tokenize.OP, tokenize.NAME):
                continue
            (row, column), (end_row, end_column) = token.start, token.end
            start = self._starts[row - 1] + len(lines[row - 1][:column].encode())
            end = self._starts[end_row - 1] + len(lines[end_row - 1][:end_column].encode())
            here = (start, end, token.string)
            if last and (last[2], token.string) in (("is", "not"), ("not", "in")):
                here, last = (last[0], end, f"{last[2]} {token.string}"), None
            if last:
                yield last
            last = here
        if last:
            yield last

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _replace(self, node: ast.expr | ast.stmt, replacement: str) -> None:
        self.found.append(Mutant(self.file, *self._span(node), replacement))

    def _replace_operator(self, left: ast.expr, right: ast.expr, spelled: str, *others: str) -> None:
        """Replace the operator between two operands."""
        low, high = self._span(left)[1], self._span(right)[0]
        for start, end, text in self._operators:
            if low <= start and end <= high and text == spelled:
                self.found += [Mutant(self.file, start, end, other) for other in others]

    def _negate(self, condition: ast.expr) -> None:
        """Negate a condition that is no comparison, no `not` and no constant: those are changed elsewhere."""
        if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
            return
        if not isinstance(condition, ast.Compare | ast.Constant | ast.NamedExpr):
            self._replace(condition, f"(not ({self._text(condition)}))")

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self._negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        if node.guard:
            self._negate(node.guard)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            self._replace_operator(left, right, _SPELLED[type(operator)], *_COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        spelled = _SPELLED[type(node.op)]
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._replace_operator(left, right, spelled, _OTHER[spelled])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if spelled := _SPELLED.get(type(node.op)):
            self._replace_operator(node.left, node.right, spelled, _OTHER[spelled])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, str(not value))
        elif isinstance(value, int):
            self._replace(node, str(value + 1))
            if value > 0:
                self._replace(node, str(value - 1))
        elif isinstance(value, float):
            self._replace(node, str(value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
            self._replace(node.func, _OTHER[node.func.id])
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg != "strict":
                self.visit(keyword.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and not (
            isinstance(node.value, ast.Constant) and node.value.value in (None, True, False)
        ):
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type and self._text(node.type) not in _EVERYTHING:
            self._replace(node.type, "Exception")
        for statement in node.body:
            self.visit(statement)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave f-strings as they are."""

    def visit_Assign(self, node: ast.Assign) -> None:
        is_name = all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets)
        if not (is_name and isinstance(node.value, ast.Constant) and isinstance(node.value.value, float)):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
