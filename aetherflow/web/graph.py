"""The graph of jobs as SVG: boxes with sign, name and status, and lines for what waits for what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from aetherflow.web.graph_layout import COLUMN_GAP, ROW_GAP, Placed, layout
from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import Graph, Node
from aetherflow.web.status import css_class, in_order, shares, sign

WIDTH = 196
HEIGHT = 46
MARGIN = 10
SHADOW = 8
NAME_CHARACTERS = 22
NOTE_CHARACTERS = 29


def graph(shown: Graph) -> Markup:
    """Return the graph; without jobs only the note on why they are not drawn."""
    if not shown.nodes:
        return tag("p", shown.note, class_="note")
    jobs = [node.id for node in shown.nodes if node.kind != "hook"]
    placed = layout(jobs, [(edge.source, edge.target) for edge in shown.edges], WIDTH, HEIGHT)
    hooks = [node.id for node in shown.nodes if node.kind == "hook"]
    places = {**placed.nodes, **_beside(hooks, placed)}
    lines = [
        tag("path", d=_curve(points), class_=f"edge {edge.kind}", marker_end="url(#arrow)")
        for edge, points in zip(shown.edges, placed.edges, strict=True)
    ]
    boxes = [_box(node, *places[node.id]) for node in shown.nodes]
    width = max(left for left, _ in places.values()) + WIDTH + 2 * MARGIN + SHADOW
    height = max(top for _, top in places.values()) + HEIGHT + 2 * MARGIN + SHADOW
    drawing = tag(
        "svg",
        tag("title", "Jobs and their dependencies"),
        _ARROW,
        tag("g", joined(lines), joined(boxes), transform=f"translate({MARGIN},{MARGIN})"),
        class_="graph",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="group",
        aria_label=f"graph of {len(shown.nodes)} jobs",
    )
    buttons = tag(
        "div",
        (tag("button", label, type="button", data_zoom=by, title=does) for label, by, does in _ZOOM),
        class_="zoom needs-js",
        role="group",
        aria_label="size of the graph",
    )
    note = tag("p", shown.note, class_="note") if shown.note else NOTHING
    frame = tag(
        "div", drawing, class_="graph-frame", tabindex=0, role="region", aria_label="graph, scrollable"
    )
    return tag("div", buttons, frame, note, class_="graph-block")


_ZOOM = (
    ("-", "-", "smaller"),
    ("+", "+", "larger"),
    ("fit", "fit", "as wide as the page"),
    ("1:1", "1", "as it is"),
)
_ARROW = tag(
    "defs",
    tag(
        "marker",
        tag("path", d="M0,0L8,4L0,8z", class_="arrow"),
        id="arrow",
        markerWidth="8",
        markerHeight="8",
        refX="7",
        refY="4",
        orient="auto",
        markerUnits="userSpaceOnUse",
    ),
)


def _beside(hooks: Sequence[str], placed: Placed) -> dict[str, tuple[float, float]]:
    """Return the places of hooks: in a column of their own, as they run when all jobs have ended."""
    left = placed.width + COLUMN_GAP
    first = max((placed.height - len(hooks) * (HEIGHT + ROW_GAP) + ROW_GAP) / 2, 0.0)
    return {one: (left, first + number * (HEIGHT + ROW_GAP)) for number, one in enumerate(hooks)}


def _box(node: Node, left: float, top: float) -> Markup:
    status = css_class(node.status)
    counted = ", ".join(f"{number} {name}" for name, number in in_order(node.parts))
    title = f"{node.label}: {node.status}" + (f", {node.note}" if node.note else "")
    title += f" ({counted})" if counted else ""
    behind = [
        tag(
            "rect",
            x=str(shift),
            y=str(shift),
            width=str(WIDTH),
            height=str(HEIGHT),
            rx="7",
            class_="box behind",
        )
        for shift in ((6, 3) if node.kind in ("fan", "group") else ())
    ]
    drawn = joined(
        (
            tag("title", title),
            *behind,
            tag("rect", width=str(WIDTH), height=str(HEIGHT), rx="7", class_=f"box {node.kind}"),
            tag("path", d=f"M7,0H5a5,5 0 0 0 -5,5V{HEIGHT - 5}a5,5 0 0 0 5,5H7z", class_=f"fill {status}"),
            tag("text", sign(node.status), x="20", y="20", class_=f"sign {status}", text_anchor="middle"),
            tag("text", _cut(node.label, NAME_CHARACTERS), x="33", y="20", class_="name"),
            tag("text", _cut(node.note or node.status, NOTE_CHARACTERS), x="33", y="35", class_="small"),
            *_parts(node),
        )
    )
    shown = tag("g", drawn, transform=f"translate({left:.1f},{top:.1f})")
    return tag("a", shown, href=f"#{node.anchor}", aria_label=title) if node.anchor else shown


def _parts(node: Node) -> Sequence[Markup]:
    """Return a bar at the foot of a box: the shares of the statuses of what it stands for."""
    return [
        tag(
            "rect",
            x=f"{left:.1f}",
            y=str(HEIGHT - 6),
            width=f"{width:.1f}",
            height="3",
            class_=f"fill {css_class(status)}",
        )
        for status, _, left, width in shares(node.parts, left=12, width=WIDTH - 20)
    ]


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a line through points in pairs: straight past a stop, curved between columns."""
    text = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if number % 2 == 0:
            middle = (x + to_x) / 2
            text += f"C{middle:.1f},{y:.1f} {middle:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        else:
            text += f"H{to_x:.1f}"
    return text


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
