"""The rules about `when`: it was an expression of Python, with Python's truth and comparisons."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from yaml.nodes import Node, ScalarNode

from aetherflow.language.lexer import lexemes
from aetherflow.migration.difference import Change, changed, for_a_person
from aetherflow.migration.old_file import OldFile, get, quoted_text, replaced, text_of
from aetherflow.migration.old_flow import OldJob, is_of_this_version, jobs_of
from aetherflow.migration.old_steps import ValueKind

CONDITION = "AF173"
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}
_TEXTS = {"text", "captured", "unknown"}
_ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def condition_changes(old: OldFile) -> Iterator[Change]:
    """Find what differs about the conditions of jobs."""
    earlier: dict[str, OldJob] = {}
    is_new = is_of_this_version(old.root)
    for job in jobs_of(old.root):
        node = get(job.node, "when")
        if isinstance(node, ScalarNode) and (text := text_of(node).strip()) and not is_new:
            yield from _condition(old, node, text, earlier)
        earlier[job.id] = job


def _condition(old: OldFile, node: ScalarNode, text: str, jobs: Mapping[str, OldJob]) -> Iterator[Change]:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        advice = "write it with paths, literals, comparisons, and, or, not"
        yield for_a_person(node, CONDITION, "the condition is an error", "as well", advice)
        return
    reader = _Reader(node, jobs)
    reader.truth(tree.body)
    yield from reader.changes
    written = _rewritten(text, tree)
    if written != text:
        there, here = "a condition is Python", "it has literals of its own, and no comments"
        yield changed(node, CONDITION, there, here, written, replaced(old, node, quoted_text(written)))


def _rewritten(text: str, tree: ast.Expression) -> str:
    """Return a condition without comments, and with literals as they are written here."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    edits: list[tuple[int, int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            start = offset(node.lineno, node.col_offset)
            end = offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
            if not _reads_as(text[start:end], node.value) and (literal := _literal(node.value)):
                edits.append((start, end, literal))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            start = starts[token.start[0] - 1] + token.start[1]
            edits.append((start, start + len(token.string), ""))
    for start, end, literal in sorted(edits, reverse=True):
        text = text[:start] + literal + text[end:]
    return text.strip()


def _reads_as(text: str, value: Any) -> bool:
    found = list(lexemes(text))
    same = len(found) == 2 and found[0].kind == "literal"  # noqa: PLR2004 - the literal and the end
    return same and type(found[0].value) is type(value) and bool(found[0].value == value)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value) if isinstance(value, int | float) else ""


class _Operand(msgspec.Struct, frozen=True):
    """A side of a comparison: how it is written, its kind, and its value if it is a literal."""

    text: str
    kind: ValueKind
    value: Any = None


class _Reader:
    """Walks a condition and collects what has another outcome here."""

    def __init__(self, node: Node, jobs: Mapping[str, OldJob]) -> None:
        self.node = node
        self.jobs = jobs
        self.changes: list[Change] = []

    def truth(self, part: ast.expr) -> None:
        """Look at a part that is true or false."""
        match part:
            case ast.BoolOp(values=values):
                for value in values:
                    self.truth(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.truth(operand)
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self.operand(side) for side in (left, *others)]
                for number, op in enumerate(ops):
                    self.compared(op, sides[number], sides[number + 1])
            case _:
                self.bare(self.operand(part))

    def bare(self, side: _Operand) -> None:
        """Look at a value that is used as truth."""
        if side.kind in _TEXTS and side.value is None:
            self.report(
                f"{side.text} is true if it is any text, 'false', '0' and 'no' too",
                "these three texts are false",
                f"compare it with what you mean: {side.text} == 'true'",
            )

    def compared(self, op: ast.cmpop, left: _Operand, right: _Operand) -> None:
        """Look at a comparison of two values."""
        kinds = {left.kind, right.kind}
        path = right if left.value is not None else left
        if isinstance(op, _ORDERINGS):
            may_be_numbers = all(_may_be_a_number(side) for side in (left, right))
            if "truth" in kinds:
                self.report(
                    f"truth values have an order: in {left.text} and {right.text} true is 1",
                    "they have none: this is an error",
                    "compare with == true or == false",
                )
            elif may_be_numbers and kinds <= _TEXTS:
                self.report(
                    f"{left.text} and {right.text} are ordered as texts: '10' is before '9'",
                    "texts that look like numbers are ordered as numbers",
                    "write the number without quotes if numbers are meant",
                )
            elif "unknown" in kinds or ("number" in kinds and kinds & _TEXTS):
                self.report(
                    f"a text cannot be ordered against a number: if {path.text} is a text, the run ends",
                    "a text that looks like a number is compared as one",
                    f"look whether {path.text} can be a text",
                )
        elif "captured" in kinds:
            self.report(
                f"{path.text} keeps its last line end: 'ok' is another text",
                "it has none",
                "compare with the text without a line end",
            )
        elif kinds & _TEXTS and kinds & {"number", "truth"}:
            self.report(
                f"a text never equals a number or a truth value: if {path.text} is a text, they differ",
                "a text that looks like one equals it: '3' == 3, 'true' == true",
                f"look whether {path.text} can be a text; compare a text with a text: '...'",
            )

    def operand(self, part: ast.expr) -> _Operand:
        """Return a value of the condition; report paths that lead nowhere."""
        text = ast.unparse(part)
        if isinstance(part, ast.Name) and part.id in _BOOLEANS:
            return _Operand(text, "truth", _BOOLEANS[part.id])
        if isinstance(part, ast.Constant):
            kind: ValueKind = "text" if isinstance(part.value, str) else "number"
            kind = "truth" if isinstance(part.value, bool) else kind
            return _Operand(text, "list" if part.value is None else kind, part.value)
        if isinstance(part, ast.BoolOp | ast.UnaryOp | ast.Compare):
            self.truth(part)
            return _Operand(text, "truth", value=True)
        return self.path(text)

    def path(self, text: str) -> _Operand:
        """Return what a path leads to."""
        match text.split("."):
            case ["jobs", name, *_] if name not in self.jobs:
                there = f"{text} ends the run with an error: no job {name!r} is before this one"
                here = "the job waits for it" if name else "it is unknown"
                self.report(there, here, "move the job, or correct its name")
            case ["jobs", name, "outputs", key]:
                kind = self.jobs[name].outputs.get(key)
                if kind is None:
                    there = f"{text} ends the run with an error: no step of {name!r} has this in its outputs"
                    self.report(there, "it is null", "correct the key, or declare it in the outputs")
                return _Operand(text, kind or "list")
            case ["jobs", _, "status"]:
                return _Operand(text, "text", text)
            case _:
                there = f"{text} can be read in a condition"
                here = "only jobs.ID.outputs.KEY and jobs.ID.status can"
                self.report(there, here, "compare the status instead")
        return _Operand(text, "list")

    def report(self, there: str, here: str, advice: str) -> None:
        """Add a difference for a person."""
        self.changes.append(for_a_person(self.node, CONDITION, there, here, advice))


def _may_be_a_number(side: _Operand) -> bool:
    """Whether a side can be a text that looks like a number: a path, or such a literal."""
    if side.value is None:
        return True
    try:
        float(side.value)
    except (TypeError, ValueError):
        return False
    return True
