"""The graph of a flow: its layers, its drawings read back, its labels escaped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.admin.flow_graph import load_graph
from aetherflow.check.graph_markup import dot, mermaid
from aetherflow.check.graph_text import ASCII, UNICODE, drawing
from aetherflow.check.job_graph import Edge, Graph, Node, layers_of
from aetherflow.errors import InvalidInput
from tests.sizes import examples

DIAMOND = """\
version: 1
flow: {id: f}
jobs:
  - {id: probe, steps: [{id: s, type: check_items, inputs: {items: [a]}}]}
  - {id: left, depends_on: [probe], steps: [{id: s, type: check_items, inputs: {items: [a]}}]}
  - {id: right, depends_on: [probe], when: jobs.probe.status == 'SUCCESS',
     steps: [{id: s, type: check_items, inputs: {items: [a]}}]}
  - id: last
    depends_on: [left, right]
    for_each: [1, 2]
    steps:
      - {id: s, type: check_items, inputs: {items: [a]}}
      - {id: t, type: check_items, inputs: {items: [b]}}
  - {id: tell, when: jobs.last.status != 'SUCCESS',
     steps: [{id: s, type: check_items, inputs: {items: ["{{jobs.probe.status}}"]}}]}
"""


def graph(tmp_path: Path, text: str = DIAMOND) -> Graph:
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    return load_graph(path)


def test_a_job_stands_one_layer_below_the_last_that_it_waits_for(tmp_path: Path) -> None:
    layers = [[node.id for node in layer] for layer in layers_of(graph(tmp_path))]
    assert layers == [["probe"], ["left", "right"], ["last"], ["tell"]]


def test_a_drawing_for_the_terminal(tmp_path: Path) -> None:
    assert (
        drawing(graph(tmp_path), UNICODE)
        == """\
●┄╮    probe  (1 step)
│ ┊
├─┊─●  left  (1 step)
◆ ┊ │  right  (1 step, when jobs.probe.status == 'SUCCESS')
│ ┊ │
╰─┊─●  last  (2 steps, for each item)
  ┊ ┊
  ╰┄◆  tell  (1 step, when jobs.last.status != 'SUCCESS')

◆ gated by when   │ waits for success   ┊ waits for the end"""
    )


def test_the_same_drawing_where_the_terminal_knows_ascii_only(tmp_path: Path) -> None:
    assert (
        drawing(graph(tmp_path), ASCII)
        == """\
*.+    probe  (1 step)
| :
+-:-*  left  (1 step)
? : |  right  (1 step, when jobs.probe.status == 'SUCCESS')
| : |
+-:-*  last  (2 steps, for each item)
  : :
  +.?  tell  (1 step, when jobs.last.status != 'SUCCESS')

? gated by when   | waits for success   : waits for the end"""
    )


def test_a_follow_up_is_in_all_drawings(tmp_path: Path) -> None:
    text = """\
version: 1
flow: {id: f}
resources: {r: {kind: file, driver: local, config: {root: /a}}}
jobs:
  - id: a
    steps:
      - {id: get, type: file_download_files, inputs: {resource: r, remote_dir: i, dest_dir: d, after: delete}}
"""
    found = graph(tmp_path, text)
    assert drawing(found, UNICODE) == "●  a  (2 steps, then get.after)"
    assert '["a<br/>then get.after"]' in mermaid(found)
    assert '[label="a\\nthen get.after"]' in dot(found)


def test_jobs_that_wait_for_nothing_need_no_legend() -> None:
    assert drawing(Graph("f", (Node("a", 1), Node("b", 1)), ()), UNICODE) == (
        "●  a  (1 step)\n●  b  (1 step)"
    )


UP, DOWN, PASSING = "├┤┴┼╰╯", "├┤┼╭╮┬", "│┊"
OUTERMOST = {-1: "╰╭├", 1: "╯╮┤"}


class Drawn:
    """A drawing, read as an eye does: along the lines from each mark, and up the rails."""

    def __init__(self, text: str) -> None:
        rows = text.partition("\n\n")[0].split("\n")
        self.cells = [row.split("  j")[0] for row in rows]
        self.names = {n: row.split("  (")[0].split()[-1] for n, row in enumerate(rows) if "(" in row}

    def at(self, row: int, column: int) -> str:
        return self.cells[row][column] if row >= 0 and 0 <= column < len(self.cells[row]) else " "

    def joints(self, row: int) -> set[int]:
        """Return the columns that are joined to the mark of a row, its own among them."""
        mark = next(column for column, sign in enumerate(self.cells[row]) if sign in "●◆")
        found = {mark}
        for side, outermost in OUTERMOST.items():
            column = mark + side
            while (sign := self.at(row, column)) != " " and self.at(row, mark + side) in "─┄":
                if sign in UP + DOWN:
                    found.add(column)
                if sign in outermost:
                    break
                column += side
        return found

    def source(self, row: int, column: int) -> str:
        """Return the job that the rail in a column comes from."""
        while self.at(row, column) in PASSING or (
            self.at(row, column) in UP and self.at(row, column) in DOWN
        ):
            row -= 1
        assert column in self.joints(row), (row, column)
        return self.names[row]

    def edges(self) -> set[tuple[str, str]]:
        found = set()
        for row, name in self.names.items():
            for column in self.joints(row):
                sign, above = self.at(row, column), self.at(row - 1, column)
                if sign in UP or (sign in "●◆" and above in PASSING + DOWN):
                    found.add((self.source(row - 1, column), name))
        return found


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 14))
    nodes = tuple(Node(f"j{number}", 1) for number in range(size))
    edges = [
        Edge(f"j{source}", f"j{target}", draw(st.sampled_from(["needs", "after"])))
        for target in range(1, size)
        for source in sorted(draw(st.sets(st.integers(0, target - 1), max_size=3)))
    ]
    return Graph("f", nodes, tuple(edges))


@examples(60)
@given(graphs())
def test_every_edge_and_no_other_can_be_read_from_the_drawing(graph: Graph) -> None:
    assert Drawn(drawing(graph, UNICODE)).edges() == {(edge.source, edge.target) for edge in graph.edges}


@examples(50)
@given(graphs())
def test_the_layers_hold_every_job_once_below_what_it_waits_for(graph: Graph) -> None:
    layers = layers_of(graph)
    depth = {node.id: number for number, layer in enumerate(layers) for node in layer}
    assert len(depth) == len(graph.jobs)
    assert all(depth[edge.source] < depth[edge.target] for edge in graph.edges)


TRICKY = Graph(
    'f"\\', (Node('a"<b>`#&\\n', 1, 'x == "</script>"'), Node("b", 1)), (Edge('a"<b>`#&\\n', "b", "after"),)
)


def test_labels_are_escaped_for_mermaid() -> None:
    assert mermaid(TRICKY) == (
        "flowchart TD\n"
        '    job0{{"a#quot;#lt;b#gt;#96;#35;#amp;\\n<br/>x == #quot;#lt;/script#gt;#quot;"}}\n'
        '    job1["b"]\n'
        "    job0 -.-> job1"
    )


def test_labels_are_escaped_for_dot() -> None:
    assert dot(TRICKY) == (
        'digraph "f\\"\\\\" {\n'
        "    node [shape=box];\n"
        '    "a\\"<b>`#&\\\\n" [label="a\\"<b>`#&\\\\n\\nx == \\"</script>\\"", shape=hexagon];\n'
        '    "b" [label="b"];\n'
        '    "a\\"<b>`#&\\\\n" -> "b" [style=dashed];\n'
        "}"
    )


def test_a_gate_is_shown_on_one_line_and_obeys_no_escape(tmp_path: Path) -> None:
    text = DIAMOND.replace("jobs.last.status != 'SUCCESS'", "\"jobs.last.status != '\\e[31m'\\n or true\"")
    (*_, last) = graph(tmp_path, text).jobs
    assert last.gate == "jobs.last.status != '?[31m' or true"


def test_a_flow_with_a_circle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="AF130"):
        graph(tmp_path, DIAMOND.replace("id: probe,", "id: probe, depends_on: [last],"))
