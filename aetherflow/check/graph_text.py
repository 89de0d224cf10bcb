"""Draw a graph of jobs on a terminal: one line per job, and rails down to the jobs that wait for it.

Each job has a column; the rail of a job runs down from its mark to the last job that waits for it. A job that
is the last to wait for another takes over its column, so that a chain is one straight line.
"""

from __future__ import annotations

import msgspec

from aetherflow.check.job_graph import EdgeKind, Graph, Node, layers_of
from aetherflow.check.place_words import place_words


class Pens(msgspec.Struct, frozen=True):
    """The characters of a drawing; a joint is named by its directions: up, down, left, right."""

    job: str
    gated: str
    vertical: dict[EdgeKind, str]
    horizontal: dict[EdgeKind, str]
    joints: dict[str, str]


UNICODE = Pens(
    job="●",
    gated="◆",
    vertical={"needs": "│", "after": "┊"},
    horizontal={"needs": "─", "after": "┄"},
    joints={
        "ur": "╰", "ul": "╯", "dr": "╭", "dl": "╮",
        "udr": "├", "udl": "┤", "ulr": "┴", "dlr": "┬", "udlr": "┼",
    },
)  # fmt: skip
ASCII = Pens(
    job="*",
    gated="?",
    vertical={"needs": "|", "after": ":"},
    horizontal={"needs": "-", "after": "."},
    joints=dict.fromkeys(("ur", "ul", "dr", "dl", "udr", "udl", "ulr", "dlr", "udlr"), "+"),
)


class _Rail(msgspec.Struct):
    """A line from a job down to the jobs that wait for it, for its success or for its end."""

    source: str
    kind: EdgeKind
    waiting: set[str]


Columns = list[_Rail | None]


def drawing(graph: Graph, pens: Pens) -> str:
    """Return the drawing, followed by a legend."""
    columns: Columns = []
    rows: list[tuple[str, str]] = []
    for number, layer in enumerate(layers_of(graph)):
        if number:
            rows.append((_between(columns, pens), ""))
        rows += [_row(graph, node, columns, pens) for node in _in_order(layer, graph, columns)]
    width = max((len(rails) for rails, _ in rows), default=0)
    lines = [f"{rails:<{width}}  {words}".rstrip() for rails, words in rows]
    return "\n".join([*lines, *_legend(graph, pens)])


def _in_order(layer: list[Node], graph: Graph, columns: Columns) -> list[Node]:
    """Sort the jobs of a layer by the columns that their rails come from, so that few rails cross."""

    def place(node: Node) -> float:
        comes_from = [n for n, rail in enumerate(columns) if rail is not None and node.id in rail.waiting]
        return sum(comes_from) / len(comes_from) if comes_from else len(graph.jobs)

    return sorted(layer, key=place)


def _row(graph: Graph, node: Node, columns: Columns, pens: Pens) -> tuple[str, str]:
    """Draw the line of a job; its own rails begin here, and rails that led only to it end."""
    above = list(columns)
    incoming = {n for n, rail in enumerate(above) if rail is not None and node.id in rail.waiting}
    for number in incoming:
        rail = columns[number]
        assert rail is not None  # noqa: S101 - `incoming` has only columns with a rail
        rail.waiting.discard(node.id)
        if not rail.waiting:
            columns[number] = None
    ended = sorted(number for number in incoming if columns[number] is None)
    own = ended[len(ended) // 2] if ended else _free(columns, above)
    outgoing: dict[int, EdgeKind] = {}
    for kind in ("needs", "after"):
        waiting = {edge.target for edge in graph.edges if edge.source == node.id and edge.kind == kind}
        if waiting:
            number = _free(columns, above) if own in outgoing else own
            _extend(columns, number)
            columns[number] = _Rail(node.id, kind, waiting)
            outgoing[number] = kind
    _extend(columns, own)
    kinds = {number: rail.kind for number in incoming if (rail := above[number]) is not None}
    cells = _Cells(own, kinds, outgoing, above, columns)
    rails = "".join(
        cells.glyph(number, node, pens) + cells.gap(number, pens) for number in range(cells.width)
    )
    return rails.rstrip(), _words(node)


def _free(columns: Columns, above: Columns) -> int:
    """Return the first column that is free here and in the line above."""
    taken = (
        number
        for number in range(len(columns))
        if columns[number] is None and (number >= len(above) or above[number] is None)
    )
    return next(taken, len(columns))


def _extend(columns: Columns, number: int) -> None:
    columns.extend([None] * (number + 1 - len(columns)))


class _Cells(msgspec.Struct, frozen=True):
    """The columns of one line: the mark of the job, and the rails that end, begin or pass there."""

    own: int
    incoming: dict[int, EdgeKind]
    outgoing: dict[int, EdgeKind]
    above: Columns
    below: Columns

    @property
    def width(self) -> int:
        """How many columns there are in this line."""
        return max(len(self.above), len(self.below))

    @property
    def ends(self) -> dict[int, EdgeKind]:
        """The columns that are joined to the mark."""
        return {n: kind for n, kind in (self.outgoing | self.incoming).items() if n != self.own}

    def glyph(self, number: int, node: Node, pens: Pens) -> str:
        """Return the character of a column."""
        if number == self.own:
            return pens.gated if node.gate else pens.job
        if number in self.ends:
            above = number in self.incoming
            below = number < len(self.below) and self.below[number] is not None
            lefts = min(self.ends) < number if number < self.own else True
            rights = max(self.ends) > number if number > self.own else True
            sides = f"{'u' * above}{'d' * below}{'l' * lefts}{'r' * rights}"
            return pens.joints[sides]
        rail = self.below[number] if number < len(self.below) else None
        if rail is not None:
            return pens.vertical[rail.kind]
        return self.line(number, number, pens)

    def gap(self, number: int, pens: Pens) -> str:
        """Return the character between a column and the next."""
        return self.line(number, number + 1, pens)

    def line(self, left: int, right: int, pens: Pens) -> str:
        """Return the piece of line between two columns, if something beyond it is joined to the mark."""
        if right <= self.own:
            beyond = {kind for n, kind in self.ends.items() if n <= left}
        elif left >= self.own:
            beyond = {kind for n, kind in self.ends.items() if n >= right}
        else:
            beyond = set()
        if not beyond:
            return " "
        return pens.horizontal["needs" if "needs" in beyond else "after"]


def _between(columns: Columns, pens: Pens) -> str:
    signs = (" " if rail is None else pens.vertical[rail.kind] for rail in columns)
    return " ".join(signs).rstrip()


def _words(node: Node) -> str:
    notes = [f"{node.steps} step{'' if node.steps == 1 else 's'}"]
    notes += [f"for each {node.each}"] if node.for_each else []
    notes += [f"when {node.gate}"] if node.gate else []
    notes += [f"then {', '.join(node.follow_ups)}"] if node.follow_ups else []
    notes += place_words(node.executors, node.runs_on, node.resources)
    return f"{node.id}  ({', '.join(notes)})"


def _legend(graph: Graph, pens: Pens) -> list[str]:
    kinds = {edge.kind for edge in graph.edges}
    signs = [f"{pens.gated} gated by when"] if any(node.gate for node in graph.jobs) else []
    signs += [f"{pens.vertical['needs']} waits for success"] if "needs" in kinds else []
    signs += [f"{pens.vertical['after']} waits for the end"] if "after" in kinds else []
    return ["", "   ".join(signs)] if signs else []
