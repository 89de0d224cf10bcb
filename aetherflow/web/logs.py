"""The ends of the logs of steps, folded; with JavaScript they can be searched."""

from __future__ import annotations

from aetherflow.web.events import filters
from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import Logs, LogTail
from aetherflow.web.status import mark

KILO = 1024


def logs(shown: Logs) -> Markup:
    """Return the logs of a run."""
    search = filters("logs", "search in these logs") if shown.tails else NOTHING
    tails = tag("div", (_tail(one) for one in shown.tails), id="log-tails")
    whole = joined((" All of them: ", tag("code", shown.command))) if shown.command else NOTHING
    return joined((search, tag("p", shown.note, whole, class_="note"), tails))


def _tail(shown: LogTail) -> Markup:
    attempt = tag("span", f"attempt {shown.attempt}", class_="chip") if shown.attempt > 1 else NOTHING
    head = tag(
        "summary",
        mark(shown.status),
        " ",
        tag("span", shown.where, class_="id"),
        " ",
        attempt,
        " ",
        tag("span", size(shown.size), class_="type"),
    )
    where = "The end of the log; " if shown.is_cut else "The whole log, "
    rest = "all of it is in " if shown.is_cut else "as it is in "
    return tag(
        "details",
        head,
        tag("p", where, rest, tag("code", shown.path), class_="note"),
        tag("pre", "\n".join(shown.lines), tabindex=0, aria_label=f"log of {shown.where}"),
        class_="log",
        id=shown.anchor,
        open=shown.is_open,
    )


def size(number: int) -> str:
    """Return a size in bytes as people write it."""
    value, unit = float(number), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < KILO:
            break
        value, unit = value / KILO, larger
    return f"{number:,} bytes" if unit == "bytes" else f"{value:,.1f} {unit}"
