"""`aetherflow graph`: draw the jobs of a flow."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from aetherflow.admin.flow_graph import load_graph
from aetherflow.check.graph_markup import dot, mermaid
from aetherflow.check.graph_text import ASCII, UNICODE, Pens, drawing
from aetherflow.cli.flow_source import one_flow
from aetherflow.cli.options import Flow, FlowOption, Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.errors import UsageError
from aetherflow.plugin_output import real_stdout

GraphFormat = Literal["text", "mermaid", "dot"]
MOST_DRAWN = 1000


def graph(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    graph_format: Annotated[
        GraphFormat, typer.Option("--format", help="A drawing for the terminal, or text for other tools.")
    ] = "text",
    json: Json = False,
) -> None:
    """Draw the jobs of a flow and their dependencies."""
    drawn = load_graph(one_flow(flow, flow_yaml))
    if json:
        print_report("graph", drawn)
    elif graph_format == "mermaid":
        print_text(mermaid(drawn))
    elif graph_format == "dot":
        print_text(dot(drawn))
    elif len(drawn.jobs) > MOST_DRAWN:
        raise UsageError(
            f"{len(drawn.jobs)} jobs are too many for a drawing in the terminal ({MOST_DRAWN} at most)",
            hint="give --format dot, and draw it with Graphviz",
        )
    else:
        print_text(drawing(drawn, _pens()))


def _pens() -> Pens:
    """Return the drawing characters that the terminal can show: Unicode, else ASCII."""
    try:
        "●│┊─┄╰◆".encode(real_stdout().encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
