"""`graph`: the jobs of a flow, drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from aetherflow.admin.flow_graph import load_graph
from aetherflow.check.graph_markup import dot, mermaid
from aetherflow.check.graph_text import ASCII, UNICODE, Pens, drawing
from aetherflow.cli.output import print_json, print_text
from aetherflow.errors import UsageError

MOST_DRAWN = 1000


def print_graph(flow: Path, graph_format: str, *, as_json: bool) -> None:
    """Print the graph of a flow.

    Raises:
        InvalidInput: the flow is wrong.
        UsageError: it has too many jobs for a drawing.
    """
    graph = load_graph(flow)
    if as_json:
        print_json(msgspec.to_builtins(graph))
    elif graph_format == "mermaid":
        print_text(mermaid(graph))
    elif graph_format == "dot":
        print_text(dot(graph))
    elif len(graph.jobs) > MOST_DRAWN:
        raise UsageError(
            f"{len(graph.jobs)} jobs are too many for a drawing in the terminal ({MOST_DRAWN} at most)",
            hint="give --format dot, and draw it with Graphviz",
        )
    else:
        print_text(drawing(graph, _pens()))


def _pens() -> Pens:
    """Return lines and dots where the terminal can show them, else ASCII."""
    try:
        "●│┊─┄╰◆".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
