"""Draw measured points and the line that they should lie on, as SVG that needs nothing from elsewhere.

The panels are below each other, so that the picture can be read on a narrow screen; it follows the reader's
choice of light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from aetherflow.web.markup import Markup, tag

WIDTH, PANEL = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 66, 22, 58, 44
"""The room around the axes of a panel: labels, title."""
JOB_STEPS, VALUE_STEPS = 2, 4
"""Linear axes have about as many steps."""
LEAST = 0.001
"""An axis is at least as long. A difference of two times may be below zero by noise; it is drawn at zero."""

STYLE = """
svg{color:#1b2028;background:#fff;font:17px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg{max-width:100%;height:auto}text{fill:currentColor}.soft{fill:#59636e}.title{font-weight:600;font-size:18px}
.grid{stroke:#dfe3e8}.fit{stroke:#9a5b00;stroke-width:2;stroke-dasharray:6 5;fill:none}.point{fill:#0b66d0}
@media (prefers-color-scheme:dark){
svg{color:#e3e8ee;background:#0f1318}.soft{fill:#98a4b1}.grid{stroke:#2c343e}.fit{stroke:#e0a040}.point{fill:#5aa9ff}
}
"""

Points = Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """Points over a number of jobs, from zero upwards.

    Attributes:
        title: what is above it: what the height of a point is.
        line: what the dashed line is, in words.
        at: the height of that line.
        by_digits: whether the axis of jobs has as much room for 100 to 1,000 as for 1,000 to 10,000.
    """

    title: str
    line: str
    points: Points
    at: Callable[[float], float]
    by_digits: bool = False


def picture(title: str, words: str, panels: Sequence[Panel]) -> str:
    """Return a drawing of all panels.

    Args:
        title: what it shows, for those who do not see it.
        words: the figures, for them.
        panels: from top to bottom.
    """
    height = PANEL * len(panels)
    drawn = [
        tag("g", *_panel(panel), transform=f"translate(0 {PANEL * number})")
        for number, panel in enumerate(panels)
    ]
    about = (tag("title", title, id="title"), tag("desc", words, id="words"), tag("style", Markup(STYLE)))
    return (
        tag(
            "svg",
            *about,
            *drawn,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {WIDTH} {height}",
            width=WIDTH * 1.25,
            height=height * 1.25,
            role="img",
            aria_labelledby="title words",
        )
        + "\n"
    )


def steps(most: float, count: int) -> list[float]:
    """Return round numbers from 0 to at least a value, at most so many and the zero."""
    most = max(most, LEAST)
    rough = most / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _panel(panel: Panel) -> Iterator[Markup]:
    jobs = [job for job, _ in panel.points]
    heights = steps(max(*(value for _, value in panel.points), *map(panel.at, jobs)), VALUE_STEPS)
    if panel.by_digits:
        first = math.floor(math.log10(min(jobs)))
        sizes = [10.0**number for number in range(first, math.ceil(math.log10(max(jobs))) + 1)]
    else:
        sizes = steps(max(jobs), JOB_STEPS)

    def x(size: float) -> float:
        low, high, value = sizes[0], sizes[-1], size
        if panel.by_digits:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    def y(value: float) -> float:
        return PANEL - BOTTOM - (PANEL - TOP - BOTTOM) * max(value, 0) / heights[-1]

    yield tag("text", panel.title, class_="title", x=10, y=22)
    for height in heights:
        at = round(y(height), 1)
        yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at)
        yield tag("text", f"{height:g}", class_="soft", x=LEFT - 8, y=at + 5, text_anchor="end")
    for size in sizes:
        yield tag(
            "text",
            f"{size:,.0f}",
            class_="soft",
            x=round(x(size), 1),
            y=PANEL - 20,
            text_anchor=_anchor(size, sizes),
        )
    line = [f"{x(size):.1f},{y(panel.at(size)):.1f}" for size in (min(jobs), max(jobs))]
    yield tag("path", class_="fit", d="M" + "L".join(line))
    yield tag("text", f"dashed: {panel.line}", class_="soft", x=10, y=TOP - 14)
    for size, value in panel.points:
        yield tag("circle", class_="point", cx=round(x(size), 1), cy=round(y(value), 1), r=4.5)


def _anchor(size: float, sizes: Sequence[float]) -> str:
    return "end" if size == sizes[-1] else "middle"
