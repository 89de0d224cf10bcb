"""Render a graph of jobs as Mermaid or DOT, with every label escaped."""

from __future__ import annotations

from aetherflow.check.job_graph import Graph, Node
from aetherflow.check.place_words import place_words

_MERMAID = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"})
_DOT = str.maketrans({"\\": "\\\\", '"': '\\"'})


def mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart: a solid arrow waits for success, a dotted one for the end."""
    names = {node.id: f"job{number}" for number, node in enumerate(graph.jobs)}
    lines = ["flowchart TD"]
    for node in graph.jobs:
        label = "<br/>".join(line.translate(_MERMAID) for line in _label(node))
        opened, closed = ("{{", "}}") if node.gate else ("[", "]")
        lines.append(f'    {names[node.id]}{opened}"{label}"{closed}')
    for edge in graph.edges:
        arrow = "-->" if edge.kind == "needs" else "-.->"
        lines.append(f"    {names[edge.source]} {arrow} {names[edge.target]}")
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """Return a graph for Graphviz: a solid edge waits for success, a dashed one for the end."""
    lines = [f"digraph {_quoted(graph.flow)} {{", "    node [shape=box];"]
    for node in graph.jobs:
        shape = ", shape=hexagon" if node.gate else ""
        label = "\\n".join(line.translate(_DOT) for line in _label(node))
        lines.append(f'    {_quoted(node.id)} [label="{label}"{shape}];')
    for edge in graph.edges:
        style = "" if edge.kind == "needs" else " [style=dashed]"
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{style};")
    return "\n".join([*lines, "}"])


def _label(node: Node) -> list[str]:
    return [
        node.id,
        *([f"for each {node.each}"] if node.for_each else []),
        *([node.gate] if node.gate else []),
        *([f"then {', '.join(node.follow_ups)}"] if node.follow_ups else []),
        *place_words(node.executors, node.runs_on, node.resources),
    ]


def _quoted(text: str) -> str:
    return f'"{text.translate(_DOT)}"'
