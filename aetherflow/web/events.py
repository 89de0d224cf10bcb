"""The events of a run as a table; with JavaScript it can be filtered."""

from __future__ import annotations

from aetherflow.web.markup import Markup, joined, tag
from aetherflow.web.model import EventLine, EventTable

_LEVELS = (
    ("", "all levels"),
    ("info", "info and above"),
    ("warning", "warnings and errors"),
    ("error", "errors"),
)


def events(shown: EventTable) -> Markup:
    """Return the events with the fields that filter them."""
    rows: list[Markup] = []
    last = 0
    for line in shown.lines:
        if last and line.seq > last + 1:
            left = line.seq - last - 1
            rows.append(
                tag("tr", tag("td", f"⋯ {left:,} events are left out here", colspan=5), class_="left-out")
            )
        rows.append(_row(line))
        last = line.seq
    head = tag("tr", (tag("th", name, scope="col") for name in ("time", "seq", "event", "where", "message")))
    whole = tag("table", tag("thead", head), tag("tbody", joined(rows)), aria_label="events")
    return joined(
        (
            filters("events", "filter events: words in any column", tag("label", "level ", _levels())),
            tag("p", shown.note, " All of them: ", tag("code", shown.command), class_="note"),
            tag("div", whole, class_="table-frame events", id="events-table", tabindex=0),
        )
    )


def filters(name: str, placeholder: str, *more: Markup) -> Markup:
    """Return a field to search in a part of the page, for JavaScript only."""
    field = tag(
        "input",
        type="search",
        placeholder=placeholder,
        data_filter=name,
        aria_label=placeholder,
        autocomplete="off",
    )
    found = tag("output", data_found=name, aria_live="polite")
    return tag("div", field, joined(more), found, class_="filters needs-js")


def _levels() -> Markup:
    return tag("select", (tag("option", words, value=level) for level, words in _LEVELS), data_level="events")


def _row(line: EventLine) -> Markup:
    at = f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03}"
    time = tag("time", at, datetime=line.at.isoformat(), title=line.at.isoformat())
    return tag(
        "tr",
        tag("td", time),
        tag("td", str(line.seq)),
        tag("td", line.event),
        tag("td", line.where),
        tag("td", line.message),
        class_=f"l-{line.level}",
        data_level=line.level,
    )
